package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.AttentionBlocks.roundUp;
import static dev.heddle.runtime.cpu.Lanes.LENGTH;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import org.jspecify.annotations.Nullable;

/**
 * Attention in bf16 on processors with bf16 instructions: both products are machine code of our
 * own, or oneDNN's where that is not there, scores and their softmax F32. A block of queries of one
 * head is done at a time, so that its scores stay in the second-level cache; queries are read as
 * they lie, keys and values too by oneDNN, which packs them for each block. The exponentials are
 * rounded to bf16 for the second product, their sums are not.
 *
 * <p>The object's own fields describe the running call to the workers.
 */
final class Bf16Attention {
  /** Scores of a block that fit the cache, in F32 and beside it in bf16. */
  private static final long BLOCK_SCORES = 64 << 10;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final boolean machineCode;
  private final @Nullable MachineRows rowCode;
  private final WorkerPool.WorkerTask task = this::headRange;
  private final AttentionBlocks.Stage[] stages = {
    this::scoreRows,
    this::maximumRows,
    this::exponentialRows,
    this::mixRows,
    this::normalizeSums,
    this::finishRows
  };

  private final Bf16AttentionBlocks blocks = new Bf16AttentionBlocks();
  private final HeadRows q = new HeadRows();
  private final HeadRows k = new HeadRows();
  private final HeadRows v = new HeadRows();
  private final HeadRows out = new HeadRows();
  private final PackedHead packedKeys = new PackedHead();
  private final PackedHead packedValues = new PackedHead();
  private long logSumExp;
  private float scale;

  /** Queries in a block. */
  private int rows;

  private int lengthStep;

  /** Multiplies the running call's blocks; null where oneDNN does. */
  private @Nullable TileKernels code;

  // The products of each block of queries, by oneDNN.
  private OneDnnMatmul.Form[] scoreForms = {};
  private OneDnnMatmul.Form[] mixForms = {};

  // Scratch: where the parts of a thread's share lie. The scores come first.
  private long scratch;
  private long scratchBytes;
  private long stride;
  private long mixedStride;
  private long probabilities;
  private long mixed;
  private long maxima;
  private long sums;
  private long zeros;

  /**
   * Attention by a rank's threads.
   *
   * @param machineCode whether products are machine code where head sizes allow it, else oneDNN's
   */
  Bf16Attention(WorkerPool workers, MemoryPool memory, boolean machineCode) {
    this.workers = workers;
    this.memory = memory;
    this.machineCode = machineCode;
    this.rowCode = machineCode ? MachineRows.here() : null;
  }

  /** See {@link dev.heddle.runtime.Kernels#attention}; no size is 0. */
  void attention(
      NDArray newQ,
      NDArray newK,
      NDArray newV,
      AttentionMask mask,
      double newScale,
      NDArray newOut,
      NDArray newLogSumExp) {
    Bf16AttentionBlocks g = blocks;
    g.describe(newQ, newK, mask);
    q.describe(newQ);
    k.describe(newK);
    v.describe(newV);
    out.describe(newOut);
    logSumExp = newLogSumExp.address();
    scale = (float) newScale;
    boolean own = machineCode && Bf16AttentionBlocks.suitsMachineCode(newQ);
    code = own ? TileKernels.of(TileCode.Kind.BF16_TO_F32) : null;
    divideScratch();
    if (code == null) {
      describeProducts();
    }
    Block block = memory.borrow(workers.threads() * scratchBytes);
    try {
      scratch = block.segment().address();
      workers.runOnWorkers(g.batch * g.heads, 1, task);
    } finally {
      block.release();
    }
  }

  private void divideScratch() {
    Bf16AttentionBlocks g = blocks;
    rows = g.blockRows(g.queries, g.keys, BLOCK_SCORES, code != null);
    // A length of its own is a primitive of its own for oneDNN, and nothing for machine code.
    lengthStep = code == null ? Bf16AttentionBlocks.lengthStep(g.keys, rows) : LENGTH;
    stride = Bf16AttentionBlocks.stride(g.keys);
    mixedStride = roundUp(g.headSize, LENGTH);
    probabilities = roundUp(4 * rows * stride, MemoryPool.ALIGNMENT);
    mixed = probabilities + roundUp(2 * rows * stride, MemoryPool.ALIGNMENT);
    maxima = mixed + 4 * rows * mixedStride;
    sums = maxima + 4 * roundUp(rows, LENGTH);
    zeros = sums + 4 * roundUp(rows, LENGTH);
    long end = zeros + TileKernels.COLUMN_BYTES;
    if (code != null) {
      end = roundUp(end, MemoryPool.ALIGNMENT);
      end = packedKeys.describeColumns(g.keys, g.headSize, end);
      end = packedValues.describeRows(g.keys, g.headSize, end);
    }
    scratchBytes = roundUp(end, 2 * MemoryPool.ALIGNMENT);
  }

  private void describeProducts() {
    Bf16AttentionBlocks g = blocks;
    int count = (g.queries + rows - 1) / rows;
    scoreForms = new OneDnnMatmul.Form[count];
    mixForms = new OneDnnMatmul.Form[count];
    for (int i = 0; i < count; i++) {
      int first = i * rows;
      int queries = Math.min(rows, g.queries - first);
      int keys = limit(first, queries);
      scoreForms[i] =
          Bf16AttentionBlocks.form(
              DType.F32,
              queries,
              keys,
              g.headSize,
              q.rowBytes / 2,
              false,
              k.rowBytes / 2,
              true,
              stride,
              false);
      mixForms[i] =
          Bf16AttentionBlocks.form(
              DType.F32,
              queries,
              g.headSize,
              keys,
              stride,
              false,
              v.rowBytes / 2,
              false,
              mixedStride,
              false);
    }
  }

  /** Keys that a block of queries is multiplied by. */
  private int limit(int first, int count) {
    int seen = blocks.visible(first + count - 1);
    return (int) Math.min(blocks.keys, roundUp(seen, lengthStep));
  }

  private void headRange(int worker, long start, long end) {
    Bf16AttentionBlocks g = blocks;
    long own = scratch + worker * scratchBytes;
    Tiles.fill(own + zeros, TileKernels.COLUMNS, 0);
    for (long unit = start; unit < end; unit++) {
      long keyHead = unit % g.heads / g.group;
      if (code != null && (unit == start || unit % g.group == 0)) {
        packedKeys.pack(k, unit / g.heads, keyHead, own);
        packedValues.pack(v, unit / g.heads, keyHead, own);
      }
      for (int first = 0; first < g.queries; first += rows) {
        // More than two kinds of stages: the compiler then compiles each for itself.
        for (AttentionBlocks.Stage stage : stages) {
          stage.run(unit / g.heads, unit % g.heads, first, Math.min(rows, g.queries - first), own);
        }
      }
    }
  }

  private void scoreRows(long batch, long head, int first, int count, long own) {
    int limit = limit(first, count);
    if (limit > 0) {
      long queries = q.at(batch, first, head);
      if (code != null) {
        packedKeys.multiply(
            code,
            own,
            queries,
            q.rowBytes,
            count,
            0,
            limit,
            0,
            blocks.headSize,
            own,
            4 * stride,
            Float.BYTES,
            own + zeros);
        return;
      }
      long keys = k.at(batch, 0, head / blocks.group);
      OneDnnMatmul.ofThisThread().multiply(scoreForms[first / rows], queries, keys, own);
    }
  }

  /** Hides what rows do not see, and finds their maxima. */
  private void maximumRows(long batch, long head, int first, int count, long own) {
    if (rowCode != null) {
      RowLoop.Call call = RowLoop.call();
      call.lengths(count);
      for (int row = 0; row < count; row++) {
        call.length(row, blocks.visible(first + row), 0);
      }
      call.array(0, own, 4 * stride);
      call.scalar(0, scale);
      call.result(0, own + maxima, Float.BYTES);
      call.run(rowCode.scaledMaximum, count);
      return;
    }
    int part = LENGTH - 1;
    float factor = factor();
    for (int row = 0; row < count; row++) {
      long scores = own + 4 * row * stride;
      int visible = blocks.visible(first + row);
      int whole = visible & ~part;
      int all = visible + part & ~part;
      if (factor != scale) {
        Bf16ScoreRows.scale(scores, scale, all);
      }
      if (whole < all) {
        Bf16ScoreRows.hide(scores + 4L * whole, visible - whole);
      }
      Lanes.set(own + maxima + 4L * row, Bf16ScoreRows.maximum(scores, factor, all));
    }
  }

  /** What scores are multiplied by as they are read: -infinity must stay what it is. */
  private float factor() {
    return scale <= 0 ? 1 : scale;
  }

  private void exponentialRows(long batch, long head, int first, int count, long own) {
    int limit = limit(first, count);
    @Nullable RowLoop loop = rowCode == null ? null : rowCode.roundedExponentials;
    if (loop != null) {
      int defined = limit + LENGTH - 1 & -LENGTH;
      RowLoop.Call call = RowLoop.call();
      call.lengths(count);
      for (int row = 0; row < count; row++) {
        call.length(row, blocks.visible(first + row), defined);
      }
      call.array(0, own, 4 * stride);
      call.array(1, own + probabilities, 2 * stride);
      call.scalar(0, scale);
      call.scalar(1, own + maxima, Float.BYTES);
      call.result(0, own + sums, Float.BYTES);
      call.run(loop, count);
      return;
    }
    float factor = factor();
    for (int row = 0; row < count; row++) {
      long scores = own + 4 * row * stride;
      long to = own + probabilities + 2 * row * stride;
      float maximum = Lanes.get(own + maxima + 4L * row);
      int all = blocks.visible(first + row) + LENGTH - 1 & -LENGTH;
      float sum = Bf16ScoreRows.exponentials(scores, factor, maximum, all, to);
      Lanes.set(own + sums + 4L * row, sum);
      Bf16ScoreRows.clear(to + 2L * all, Math.max(0, limit - all) + LENGTH - 1 & -LENGTH);
    }
  }

  private void mixRows(long batch, long head, int first, int count, long own) {
    int limit = limit(first, count);
    if (limit > 0 && code != null) {
      packedValues.multiply(
          code,
          own,
          own + probabilities,
          2 * stride,
          count,
          0,
          blocks.headSize,
          0,
          limit,
          own + mixed,
          4 * mixedStride,
          Float.BYTES,
          own + zeros);
    } else if (limit > 0) {
      long values = v.at(batch, 0, head / blocks.group);
      OneDnnMatmul.ofThisThread()
          .multiply(mixForms[first / rows], own + probabilities, values, own + mixed);
    } else {
      Tiles.fill(own + mixed, count * mixedStride, 0);
    }
  }

  /** Writes the log-sum-exps of a block's rows, and what these are to be multiplied by. */
  private void normalizeSums(long batch, long head, int first, int count, long own) {
    long statistic = logSumExp + 4 * ((batch * blocks.heads + head) * blocks.queries + first);
    Bf16ScoreRows.normalizers(own + maxima, own + sums, count, statistic);
  }

  private void finishRows(long batch, long head, int first, int count, long own) {
    Bf16ScoreRows.finish(
        own + mixed,
        4 * mixedStride,
        own + sums,
        out.at(batch, first, head),
        out.rowBytes,
        count,
        blocks.headSize);
  }
}
