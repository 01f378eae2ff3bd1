package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.AttentionBlocks.roundUp;
import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.broadcast;
import static dev.heddle.runtime.cpu.Lanes.load;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Attention in bf16 on processors with bf16 instructions: both products are oneDNN's, scores and
 * their softmax F32. A block of queries of one head is done at a time, so that its scores stay in
 * the second-level cache; queries, keys and values are read as they lie. The exponentials are
 * rounded to bf16 for the second product, their sums are not.
 *
 * <p>The object's own fields describe the running call to the workers.
 */
final class Bf16Attention {
  /** Scores of a block that fit the cache, in F32 and beside it in bf16. */
  private static final long BLOCK_SCORES = 64 << 10;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final WorkerPool.WorkerTask task = this::headRange;
  private final AttentionBlocks.Stage[] stages = {
    this::scoreRows, this::exponentialRows, this::mixRows, this::finishRows
  };

  private final Bf16AttentionBlocks blocks = new Bf16AttentionBlocks();
  private final HeadRows q = new HeadRows();
  private final HeadRows k = new HeadRows();
  private final HeadRows v = new HeadRows();
  private final HeadRows out = new HeadRows();
  private long logSumExp;
  private float scale;

  /** Queries in a block. */
  private int rows;

  private int lengthStep;

  // The products of each block of queries.
  private OneDnnMatmul.Form[] scoreForms = {};
  private OneDnnMatmul.Form[] mixForms = {};

  // Scratch: where the parts of a thread's share lie. The scores come first.
  private long scratch;
  private long scratchBytes;
  private long stride;
  private long mixedStride;
  private long probabilities;
  private long mixed;
  private long statistics;

  Bf16Attention(WorkerPool workers, MemoryPool memory) {
    this.workers = workers;
    this.memory = memory;
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
    divideScratch();
    describeProducts();
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
    rows = g.blockRows(g.queries, g.keys, BLOCK_SCORES);
    lengthStep = Bf16AttentionBlocks.lengthStep(g.keys, rows);
    stride = Bf16AttentionBlocks.stride(g.keys);
    mixedStride = roundUp(g.headSize, LENGTH);
    probabilities = roundUp(4 * rows * stride, MemoryPool.ALIGNMENT);
    mixed = probabilities + roundUp(2 * rows * stride, MemoryPool.ALIGNMENT);
    statistics = mixed + 4 * rows * mixedStride;
    scratchBytes = roundUp(statistics + 8L * rows, 2 * MemoryPool.ALIGNMENT);
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
    for (long unit = start; unit < end; unit++) {
      for (int first = 0; first < g.queries; first += rows) {
        // More than two kinds of stages: the compiler then compiles each for itself.
        for (AttentionBlocks.Stage stage : stages) {
          stage.run(unit / g.heads, unit % g.heads, first, Math.min(rows, g.queries - first), own);
        }
      }
    }
  }

  private void scoreRows(long batch, long head, int first, int count, long own) {
    if (limit(first, count) > 0) {
      long queries = q.at(batch, first, head);
      long keys = k.at(batch, 0, head / blocks.group);
      OneDnnMatmul.ofThisThread().multiply(scoreForms[first / rows], queries, keys, own);
    }
  }

  private void exponentialRows(long batch, long head, int first, int count, long own) {
    int limit = limit(first, count);
    long sums = own + statistics;
    long maxima = sums + 4L * rows;
    for (int row = 0; row < count; row++) {
      exponentials(
          own + 4 * row * stride,
          scale,
          blocks.visible(first + row),
          limit,
          own + probabilities + 2 * row * stride,
          maxima + 4L * row,
          sums + 4L * row);
    }
  }

  private void mixRows(long batch, long head, int first, int count, long own) {
    if (limit(first, count) > 0) {
      long values = v.at(batch, 0, head / blocks.group);
      OneDnnMatmul.ofThisThread()
          .multiply(mixForms[first / rows], own + probabilities, values, own + mixed);
    } else {
      Tiles.fill(own + mixed, count * mixedStride, 0);
    }
  }

  /** Divides the rows of a block by their sums, and writes their log-sum-exps. */
  private void finishRows(long batch, long head, int first, int count, long own) {
    Bf16AttentionBlocks g = blocks;
    long sums = own + statistics;
    long maxima = sums + 4L * rows;
    long statistic = logSumExp + 4 * ((batch * g.heads + head) * g.queries + first);
    for (int row = 0; row < count; row++) {
      float sum = Lanes.get(sums + 4L * row);
      long from = own + mixed + 4 * row * mixedStride;
      long to = out.at(batch, first + row, head);
      Bf16Conversion.narrowScaled(from, sum == 0 ? 0 : 1 / sum, to, g.headSize);
      // -infinity for an empty sum.
      double logSum = Lanes.get(maxima + 4L * row) + Math.log(sum);
      Lanes.set(statistic + 4L * row, (float) logSum);
    }
  }

  /**
   * Probabilities exp(scale x - maximum) of scores x, rounded, where visible, and 0 from there to
   * {@code limit}; the maximum and the sum of the exponentials are written. Both are 0 where
   * nothing is visible.
   */
  private static void exponentials(
      long scores,
      float scale,
      int visible,
      int limit,
      long probabilities,
      long maximumAt,
      long sumAt) {
    long row = address(scores);
    long to = address(probabilities);
    FloatVector scales = broadcast(scale);
    FloatVector nothing = broadcast(Float.NEGATIVE_INFINITY);
    VectorMask<Float> rest = Lanes.first(visible & LENGTH - 1);
    int whole = visible & -LENGTH;
    // Java's maximum takes five instructions because of NaN and signed zeros. Two of what takes its
    // place, because each waits for the one before.
    FloatVector even = nothing;
    FloatVector odd = nothing;
    int at = 0;
    for (; at < whole - LENGTH; at += 2 * LENGTH) {
      FloatVector x = load(row + 4L * at).mul(scales);
      FloatVector y = load(row + 4L * at + Lanes.BYTES).mul(scales);
      even = even.blend(x, x.compare(VectorOperators.GT, even));
      odd = odd.blend(y, y.compare(VectorOperators.GT, odd));
    }
    if (at < whole) {
      FloatVector x = load(row + 4L * at).mul(scales);
      even = even.blend(x, x.compare(VectorOperators.GT, even));
    }
    if (whole < visible) {
      FloatVector x = nothing.blend(load(row + 4L * whole).mul(scales), rest);
      odd = odd.blend(x, x.compare(VectorOperators.GT, odd));
    }
    float highest = Lanes.max(even.blend(odd, odd.compare(VectorOperators.GT, even)));
    float maximum = highest == Float.NEGATIVE_INFINITY ? 0 : highest;
    FloatVector shift = broadcast(maximum);
    FloatVector sums = Lanes.zero();
    for (int i = 0; i < whole; i += LENGTH) {
      FloatVector e = VectorMath.expOfNonPositive(load(row + 4L * i).mul(scales).sub(shift));
      sums = sums.add(e);
      Bf16Conversion.store(e, to + 2L * i);
    }
    int bound = whole;
    if (whole < visible) {
      FloatVector x = nothing.blend(load(row + 4L * whole).mul(scales), rest);
      FloatVector e = VectorMath.expOfNonPositive(x.sub(shift));
      sums = sums.add(e);
      Bf16Conversion.store(e, to + 2L * whole);
      bound += LENGTH;
    }
    for (int i = bound; i < limit; i += LENGTH) {
      Bf16Conversion.store(Lanes.zero(), to + 2L * i);
    }
    Lanes.set(maximumAt, maximum);
    Lanes.set(sumAt, Lanes.sum(sums));
  }
}
