package dev.heddle.parallel.context;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * The attention of queries over keys that come in parts. With y and L the result and the
 * log-sum-exp over the keys so far, and y', L' those over further keys (Dao et al.,
 * "FlashAttention", 2022, section 3.1):
 *
 * <pre>
 *   M = max(L, L')    s = exp(L - M) + exp(L' - M)
 *   y &lt;- (exp(L - M) y + exp(L' - M) y') / s    L &lt;- M + log s
 * </pre>
 *
 * Sums are kept in the accumulation type.
 */
final class AttentionMerge {
  private final NDArray queries;
  private final double scale;
  private final NDArray sum;
  private final NDArray logSumExp;

  /** No keys yet. Queries [B,S,H,D]. */
  AttentionMerge(NDArray queries, double scale) {
    this.queries = queries;
    this.scale = scale;
    DType wide = queries.dtype().accumulation();
    this.sum = NDArray.zeros(queries.device(), wide, queries.shape());
    this.logSumExp = NDArray.empty(queries.device(), wide, statistics(queries));
    logSumExp.kernels().fill(logSumExp, Double.NEGATIVE_INFINITY);
  }

  private static long[] statistics(NDArray queries) {
    return new long[] {queries.dim(0), queries.dim(2), queries.dim(1)};
  }

  /** Adds a tile of keys and values [B,n,2 Hk,D]. */
  void add(NDArray keysAndValues, AttentionTile tile) {
    try (MemoryScope inside = MemoryScope.open()) {
      NDArray q = queries.slice(1, tile.queryStart(), tile.queryEnd());
      NDArray seen = keysAndValues.slice(1, tile.keyStart(), tile.keyEnd());
      NDArray part = NDArray.empty(q.device(), q.dtype(), q.shape());
      NDArray partLog = NDArray.empty(q.device(), sum.dtype(), statistics(q));
      q.kernels()
          .attention(
              q,
              PackedHeads.keys(seen),
              PackedHeads.values(seen),
              tile.mask(),
              scale,
              part,
              partLog);
      merge(part.cast(sum.dtype()), partLog, tile);
    }
  }

  private void merge(NDArray part, NDArray partLog, AttentionTile tile) {
    Kernels kernels = sum.kernels();
    NDArray log = logSumExp.slice(2, tile.queryStart(), tile.queryEnd());
    NDArray most = like(partLog);
    kernels.binary(BinaryOperation.MAXIMUM, log, partLog, most);
    NDArray before = weight(log, most);
    NDArray added = weight(partLog, most);
    NDArray total = like(most);
    kernels.binary(BinaryOperation.ADD, before, added, total);
    kernels.binary(BinaryOperation.DIVIDE, before, total, before);
    kernels.binary(BinaryOperation.DIVIDE, added, total, added);
    kernels.unary(UnaryOperation.LOG, total, total);
    kernels.addScaled(most, 1, total);
    kernels.copy(total, log);
    for (long lane = 0; lane < sum.dim(0); lane++) {
      NDArray y = sum.slice(0, lane, lane + 1).slice(1, tile.queryStart(), tile.queryEnd());
      NDArray further = part.slice(0, lane, lane + 1);
      kernels.binary(BinaryOperation.MULTIPLY, y, ofLane(before, lane), y);
      kernels.binary(BinaryOperation.MULTIPLY, further, ofLane(added, lane), further);
      kernels.addScaled(further, 1, y);
    }
  }

  private static NDArray weight(NDArray log, NDArray most) {
    NDArray weight = like(most);
    weight.kernels().binary(BinaryOperation.SUBTRACT, log, most, weight);
    weight.kernels().unary(UnaryOperation.EXP, weight, weight);
    return weight;
  }

  private static NDArray like(NDArray x) {
    return NDArray.empty(x.device(), x.dtype(), x.shape());
  }

  /** Weights [B,H,n] of a lane as [1,n,H,1]. */
  private static NDArray ofLane(NDArray weights, long lane) {
    NDArray one = weights.slice(0, lane, lane + 1).permute(0, 2, 1);
    return one.reshape(1, one.dim(1), one.dim(2), 1);
  }

  /** The result over all keys added, [B,S,H,D] in the type of the queries. */
  NDArray result() {
    return sum.cast(queries.dtype());
  }

  /** The log-sum-exp over all keys added, [B,H,S]. */
  NDArray logSumExp() {
    return logSumExp;
  }
}
