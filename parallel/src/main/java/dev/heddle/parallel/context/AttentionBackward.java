package dev.heddle.parallel.context;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * The backward of attention over keys that come in parts. With the result and the log-sum-exp over
 * <em>all</em> keys, the gradients of a tile are exactly its share of those of the whole; they are
 * added up in the accumulation type.
 *
 * @param queries [B,S,H,D]
 * @param result [B,S,H,D] over all keys
 * @param logSumExp [B,H,S] over all keys
 * @param dy the gradient of the result, heads contiguous
 */
record AttentionBackward(
    NDArray queries, NDArray result, NDArray logSumExp, NDArray dy, double scale) {
  /** Zeros to add gradients of {@code x} [B,n,H,D] to. */
  static NDArray zerosFor(NDArray x) {
    return NDArray.zeros(x.device(), x.dtype().accumulation(), x.shape());
  }

  /**
   * Adds the gradients of a tile.
   *
   * @param keysAndValues [B,n,2 Hk,D]
   * @param dq [B,S,H,D] contiguous
   * @param dkv those of {@code keysAndValues}
   */
  void add(NDArray keysAndValues, AttentionTile tile, NDArray dq, KeyGradients dkv) {
    long from = tile.queryStart();
    long to = tile.queryEnd();
    try (MemoryScope inside = MemoryScope.open()) {
      NDArray q = queries.slice(1, from, to);
      NDArray seen = keysAndValues.slice(1, tile.keyStart(), tile.keyEnd());
      NDArray k = PackedHeads.keys(seen);
      NDArray v = PackedHeads.values(seen);
      NDArray tileDq = NDArray.empty(q.device(), q.dtype(), q.shape());
      NDArray tileDk = NDArray.empty(k.device(), k.dtype(), k.shape());
      NDArray tileDv = NDArray.empty(v.device(), v.dtype(), v.shape());
      q.kernels()
          .attentionBackward(
              q,
              k,
              v,
              result.slice(1, from, to),
              logSumExp.slice(2, from, to).contiguous(),
              dy.slice(1, from, to),
              tile.mask(),
              scale,
              tileDq,
              tileDk,
              tileDv);
      addRows(tileDq, dq, from);
      addRows(tileDk, dkv.ofKeys(), tile.keyStart());
      addRows(tileDv, dkv.ofValues(), tile.keyStart());
    }
  }

  /** Adds x [B,n,H,D] to the rows of {@code sum} from {@code start} on, lane by lane. */
  private static void addRows(NDArray x, NDArray sum, long start) {
    NDArray wide = x.cast(sum.dtype());
    for (long lane = 0; lane < sum.dim(0); lane++) {
      NDArray rows = sum.slice(0, lane, lane + 1).slice(1, start, start + x.dim(1));
      sum.kernels().addScaled(wide.slice(0, lane, lane + 1), 1, rows);
    }
  }
}
