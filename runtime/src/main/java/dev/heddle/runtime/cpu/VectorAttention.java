package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.MicroKernel.COLUMNS;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMN_BYTES;
import static dev.heddle.runtime.cpu.MicroKernel.ROWS;
import static dev.heddle.runtime.cpu.MicroKernel.ROW_BYTES;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;

/**
 * Attention by (batch, key head, block of queries). The keys and values of a head are packed once;
 * the scores of a block of queries stay in the second-level cache from the product to the softmax
 * to the next product, so no array of queries × keys ever exists (Dao et al., "FlashAttention",
 * 2022). Keys that no query of a block may see are not computed.
 *
 * <p>Tasks write to memory of their own and depend on sizes only, so neither the number of threads
 * nor their order matters to the result.
 */
final class VectorAttention {
  /** Queries of a block, while their scores fit. */
  private static final int BLOCK_QUERIES = 64;

  /** Scores of a block at most: 256 KiB. */
  private static final int BLOCK_SCORES = 1 << 16;

  /** Tasks to aim at when there are fewer heads. */
  private static final int TASKS = 8;

  private final WorkerPool workers;
  private final MemoryPool memory;

  VectorAttention(WorkerPool workers, MemoryPool memory) {
    this.workers = workers;
    this.memory = memory;
  }

  void attention(
      NDArray q,
      NDArray k,
      NDArray v,
      AttentionMask mask,
      double scale,
      NDArray out,
      NDArray logSumExp) {
    Heads heads = Heads.of(q, k, mask, (float) scale);
    Operand queries = Operand.of(q);
    Operand keys = Operand.of(k);
    Operand values = Operand.of(v);
    Operand results = Operand.of(out);
    long logSums = logSumExp.address();
    long headTasks = heads.batch * heads.keyHeads;
    if (q.size() == 0) {
      return;
    }
    long blocks = (heads.queries + heads.block - 1) / heads.block;
    long splits = Math.min(blocks, (TASKS + headTasks - 1) / headTasks);
    Forward scratch = new Forward(heads);
    Block block = memory.borrow(workers.threads() * scratch.bytes);
    try {
      long base = block.segment().address();
      workers.runOnWorkers(
          headTasks * splits,
          1,
          (worker, start, end) -> {
            for (long task = start; task < end; task++) {
              long b = task / splits / heads.keyHeads;
              long keyHead = task / splits % heads.keyHeads;
              long split = task % splits;
              scratch.run(
                  base + worker * scratch.bytes,
                  queries,
                  keys.at(b, keyHead),
                  keys.rowStride,
                  values.at(b, keyHead),
                  values.rowStride,
                  results,
                  logSums,
                  b,
                  keyHead,
                  blocks * split / splits,
                  blocks * (split + 1) / splits);
            }
          });
    } finally {
      block.release();
    }
  }

  void attentionBackward(
      NDArray q,
      NDArray k,
      NDArray v,
      NDArray out,
      NDArray logSumExp,
      NDArray dout,
      AttentionMask mask,
      double scale,
      NDArray dq,
      NDArray dk,
      NDArray dv) {
    if (q.size() == 0 && k.size() == 0) {
      return;
    }
    Heads heads = Heads.of(q, k, mask, (float) scale);
    VectorAttentionBackward backward =
        new VectorAttentionBackward(
            heads,
            Operand.of(q),
            Operand.of(k),
            Operand.of(v),
            Operand.of(out),
            logSumExp.address(),
            Operand.of(dout),
            Operand.of(dq),
            Operand.of(dk),
            Operand.of(dv));
    Block block = memory.borrow(workers.threads() * backward.bytes);
    try {
      long base = block.segment().address();
      workers.runOnWorkers(
          heads.batch * heads.keyHeads,
          1,
          (worker, start, end) -> {
            for (long task = start; task < end; task++) {
              backward.run(
                  base + worker * backward.bytes, task / heads.keyHeads, task % heads.keyHeads);
            }
          });
    } finally {
      block.release();
    }
  }

  /** Where the vectors of a [B,S,H,D] array lie; strides in bytes. */
  record Operand(long address, long batchStride, long rowStride, long headStride) {
    static Operand of(NDArray x) {
      return new Operand(x.address(), 4 * x.stride(0), 4 * x.stride(1), 4 * x.stride(2));
    }

    /** Address of the head's vector for the first position. */
    long at(long b, long head) {
      return address + b * batchStride + head * headStride;
    }
  }

  /** Sizes. */
  record Heads(
      long batch,
      int queries,
      int keys,
      long heads,
      long keyHeads,
      int size,
      AttentionMask mask,
      float scale,
      int block) {
    static Heads of(NDArray q, NDArray k, AttentionMask mask, float scale) {
      int keys = Math.toIntExact(k.dim(1));
      int block = Math.min(BLOCK_QUERIES, BLOCK_SCORES / Math.max(1, keys));
      return new Heads(
          q.dim(0),
          Math.toIntExact(q.dim(1)),
          keys,
          q.dim(2),
          k.dim(2),
          Math.toIntExact(q.dim(3)),
          mask,
          scale,
          Math.max(ROWS, block / ROWS * ROWS));
    }

    long group() {
      return heads / keyHeads;
    }

    int keyPanels() {
      return (keys + COLUMNS - 1) / COLUMNS;
    }

    int sizePanels() {
      return (size + COLUMNS - 1) / COLUMNS;
    }

    /** Bytes between rows of a block of scores. */
    long scoreStride() {
      return (long) keyPanels() * COLUMN_BYTES;
    }

    /** Bytes between rows of a block of head vectors. */
    long vectorStride() {
      return (long) sizePanels() * COLUMN_BYTES;
    }

    int visible(long query) {
      return (int) mask.visibleKeys(query, keys);
    }
  }

  /** The parts of a forward's scratch memory, as offsets, and the work of one task. */
  private static final class Forward {
    private final Heads heads;
    private final long keyPanels;
    private final long valuePanels;
    private final long queryPanels;
    private final long scores;
    private final long results;
    private final long sums;
    final long bytes;

    Forward(Heads heads) {
      this.heads = heads;
      long zeros = COLUMN_BYTES;
      keyPanels = zeros;
      valuePanels = keyPanels + heads.scoreStride() * heads.size;
      queryPanels = valuePanels + heads.vectorStride() * heads.keys;
      scores = queryPanels + 4L * heads.block * heads.size;
      results = scores + heads.scoreStride() * heads.block;
      sums = results + heads.vectorStride() * heads.block;
      bytes = (sums + 4L * heads.block + 63) / 64 * 64;
    }

    void run(
        long scratch,
        Operand queries,
        long keys,
        long keyStride,
        long values,
        long valueStride,
        Operand out,
        long logSumExp,
        long b,
        long keyHead,
        long startBlock,
        long endBlock) {
      Tiles.fill(scratch, COLUMNS, 0);
      int lastQuery = (int) Math.min(heads.queries, endBlock * heads.block) - 1;
      int visible = heads.visible(lastQuery);
      Packing.columnPanels(
          keys, keyStride, true, visible, heads.size, scratch + keyPanels);
      Packing.columnPanels(
          values, valueStride, false, heads.size, visible, scratch + valuePanels);
      for (long i = 0; i < heads.group(); i++) {
        long head = keyHead * heads.group() + i;
        long q = queries.at(b, head);
        long o = out.at(b, head);
        long statistics = logSumExp + 4 * (b * heads.heads + head) * heads.queries;
        for (long block = startBlock; block < endBlock; block++) {
          int first = (int) (block * heads.block);
          int count = Math.min(heads.block, heads.queries - first);
          queryBlock(
              scratch,
              q + first * queries.rowStride,
              queries.rowStride,
              first,
              count,
              visible,
              o + first * out.rowStride,
              out.rowStride,
              statistics + 4L * first);
        }
      }
    }

    private void queryBlock(
        long scratch,
        long q,
        long qStride,
        int first,
        int count,
        int packedKeys,
        long out,
        long outStride,
        long statistics) {
      int visible = heads.visible(first + count - 1);
      long s = scratch + scores;
      long stride = heads.scoreStride();
      long panelBytes = (long) heads.size * COLUMN_BYTES;
      Packing.rowPanels(q, qStride, false, count, heads.size, scratch + queryPanels);
      int floats = (count + ROWS - 1) / ROWS * ROWS * heads.size;
      VectorArithmetic.scale(
          scratch + queryPanels, heads.scale, scratch + queryPanels, floats);
      int panels = (visible + COLUMNS - 1) / COLUMNS;
      for (int panel = 0; panel < panels; panel++) {
        long keys = scratch + keyPanels + panel * panelBytes;
        for (int row = 0; row < count; row += ROWS) {
          MicroKernel.tile(
              scratch + queryPanels + 4L * row * heads.size,
              keys,
              heads.size,
              scratch,
              0,
              s + row * stride + (long) panel * COLUMN_BYTES,
              stride);
        }
      }
      softmax(s, first, count, visible, scratch + sums, statistics);
      long results = scratch + this.results;
      for (int panel = 0; panel < heads.sizePanels(); panel++) {
        long values = scratch + valuePanels + (long) panel * packedKeys * COLUMN_BYTES;
        for (int row = 0; row < count; row += ROWS) {
          MicroKernel.tileOfRows(
              s + row * stride,
              stride,
              values,
              visible,
              scratch,
              0,
              results + row * heads.vectorStride() + (long) panel * COLUMN_BYTES,
              heads.vectorStride());
        }
      }
      for (int row = 0; row < count; row++) {
        float sum = Lanes.get(scratch + sums + 4L * row);
        VectorArithmetic.scale(
            results + row * heads.vectorStride(),
            sum == 0 ? 0 : 1 / sum,
            out + row * outStride,
            heads.size);
      }
    }

    /**
     * Scores become weights that are not yet divided by their sums. What a query does not see gets
     * the score -infinity, so whole vectors are computed and hidden weights come out 0.
     */
    private void softmax(
        long s, int first, int count, int blockVisible, long sums, long statistics) {
      int padded = (blockVisible + COLUMNS - 1) / COLUMNS * COLUMNS;
      for (int row = 0; row < count; row++) {
        long at = s + row * heads.scoreStride();
        int visible = heads.visible(first + row);
        Tiles.fill(at + 4L * visible, padded - visible, Float.NEGATIVE_INFINITY);
        float max = Runs.max(at, padded);
        float sum = 0;
        if (max == Float.NEGATIVE_INFINITY) {
          Tiles.fill(at, padded, 0);
        } else {
          sum = Runs.expAndSum(at, max, at, padded);
        }
        Lanes.set(sums + 4L * row, sum);
        float logSum = sum == 0 ? Float.NEGATIVE_INFINITY : (float) (max + Math.log(sum));
        Lanes.set(statistics + 4L * row, logSum);
      }
    }
  }
}
