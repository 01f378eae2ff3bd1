package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.AttentionBlocks.roundUp;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.broadcast;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import org.jspecify.annotations.Nullable;

/**
 * Attention by blocks of queries: a block's scores against all keys it sees are computed into
 * scratch memory that stays in the second-level cache, turned into probabilities there, and
 * multiplied by the values. Keys and values are packed once a head. A task is one key head with all
 * query heads that read it, so results are the same for any number of threads.
 *
 * <p>The object's own fields describe the running call to the workers: a call allocates nothing on
 * the heap, and its scratch comes from the device's pool.
 */
final class VectorAttention {
  private final WorkerPool workers;
  private final MemoryPool memory;
  private final WorkerPool.WorkerTask task = this::headRange;
  private final AttentionBlocks.Stage[] stages = {
    this::scoreRows, this::exponentialRows, this::mixRows, this::finishRows
  };

  private final AttentionBlocks blocks;
  private final @Nullable MachineRows machine;
  private final HeadRows q = new HeadRows();
  private final HeadRows k = new HeadRows();
  private final HeadRows v = new HeadRows();
  private final HeadRows out = new HeadRows();
  private long logSumExp;
  private float scale;

  // Scratch: where the parts of a thread's share lie.
  private long scratch;
  private long scratchBytes;
  private long valuePanels;
  private long edge;
  private long scores;
  private long mixed;
  private long statistics;
  private long zeros;

  /**
   * Attention by a rank's threads.
   *
   * @param machineCode whether products and loops over scores may be machine code
   */
  VectorAttention(WorkerPool workers, MemoryPool memory, boolean machineCode) {
    this.workers = workers;
    this.memory = memory;
    this.blocks = AttentionBlocks.of(machineCode);
    this.machine = machineCode ? MachineRows.here() : null;
  }

  void attention(
      NDArray newQ,
      NDArray newK,
      NDArray newV,
      AttentionMask mask,
      double newScale,
      NDArray newOut,
      NDArray newLogSumExp) {
    AttentionBlocks g = blocks;
    g.describe(newQ, newK, mask);
    if (g.batch * g.heads * g.queries == 0) {
      return;
    }
    q.describe(newQ);
    k.describe(newK);
    v.describe(newV);
    out.describe(newOut);
    logSumExp = newLogSumExp.address();
    scale = (float) newScale;
    divideScratch();
    Block block = memory.borrow(workers.threads() * scratchBytes);
    try {
      scratch = block.segment().address();
      workers.runOnWorkers(g.batch * g.keyHeads, 1, task);
    } finally {
      block.release();
    }
  }

  /** The panels of the keys come first, then the rest. */
  private void divideScratch() {
    AttentionBlocks g = blocks;
    valuePanels = g.panelBytes(g.keys, g.headSize);
    edge = valuePanels + g.panelBytes(g.headSize, g.keys);
    scores = roundUp(edge + g.tileRows * g.sizeBytes, MemoryPool.ALIGNMENT);
    mixed = scores + g.rows * g.scoreBytes;
    statistics = mixed + g.rows * g.sizeBytes;
    zeros = statistics + 2 * statisticBytes(g.rows);
    scratchBytes = roundUp(zeros + Float.BYTES * g.panelColumns, 2 * MemoryPool.ALIGNMENT);
  }

  static long statisticBytes(int rows) {
    return 4 * roundUp(rows, Lanes.LENGTH);
  }

  private void headRange(int worker, long start, long end) {
    AttentionBlocks g = blocks;
    long own = scratch + worker * scratchBytes;
    Tiles.fill(own + zeros, g.panelColumns, 0);
    for (long unit = start; unit < end; unit++) {
      long batch = unit / g.keyHeads;
      long keyHead = unit % g.keyHeads;
      int touched = k.touch(batch, keyHead, g.keys) | v.touch(batch, keyHead, g.keys);
      for (long head = keyHead * g.group; head < (keyHead + 1) * g.group; head++) {
        touched |= q.touch(batch, head, g.queries);
      }
      Lanes.MEMORY.set(ValueLayout.JAVA_INT, own + statistics, touched);
      g.packColumns(k.at(batch, 0, keyHead), k.rowBytes, g.keys, own);
      // The scale goes into the keys: they are fewer than the scores.
      VectorArithmetic.scale(own, scale, own, (int) (valuePanels / Float.BYTES));
      g.packRows(v.at(batch, 0, keyHead), v.rowBytes, g.keys, own + valuePanels);
      g.run(stages, batch, keyHead, own);
    }
  }

  private void scoreRows(long batch, long head, int first, int count, long own) {
    AttentionBlocks g = blocks;
    long queries = q.at(batch, first, head);
    g.scores(first, count, queries, q.rowBytes, own, own + zeros, own + edge, own + scores);
  }

  private void exponentialRows(long batch, long head, int first, int count, long own) {
    AttentionBlocks g = blocks;
    long sums = own + statistics;
    long maxima = sums + statisticBytes(g.rows);
    if (machine != null) {
      RowLoop.Call call = RowLoop.call();
      call.lengths(count);
      for (int row = 0; row < count; row++) {
        call.length(row, g.visible(first + row), g.limit(first, row, count));
      }
      call.array(0, own + scores, g.scoreBytes);
      call.result(0, maxima, Float.BYTES);
      call.run(machine.maximum, count);
      call.array(1, own + scores, g.scoreBytes);
      call.scalar(0, maxima, Float.BYTES);
      call.result(0, sums, Float.BYTES);
      call.run(machine.exponentials, count);
      return;
    }
    for (int row = 0; row < count; row++) {
      exponentials(
          own + scores + row * g.scoreBytes,
          g.visible(first + row),
          g.limit(first, row, count),
          maxima + 4L * row,
          sums + 4L * row);
    }
  }

  private void mixRows(long batch, long head, int first, int count, long own) {
    blocks.mix(first, count, own + scores, own + valuePanels, own + zeros, own + mixed);
  }

  /** Divides the rows of a block by their sums, and writes their log-sum-exps. */
  private void finishRows(long batch, long head, int first, int count, long own) {
    AttentionBlocks g = blocks;
    long sums = own + statistics;
    long maxima = sums + statisticBytes(g.rows);
    long statistic = logSumExp + 4 * ((batch * g.heads + head) * g.queries + first);
    for (int row = 0; row < count; row++) {
      float sum = Lanes.get(sums + 4L * row);
      long from = own + mixed + row * g.sizeBytes;
      long to = out.at(batch, first + row, head);
      VectorArithmetic.scale(from, sum == 0 ? 0 : 1 / sum, to, g.headSize);
      // -infinity for an empty sum.
      double logSum = Lanes.get(maxima + 4L * row) + Math.log(sum);
      Lanes.set(statistic + 4L * row, (float) logSum);
    }
  }

  /**
   * Scores x become exp(x - maximum) where visible and 0 from there to {@code limit}; the maximum
   * and the sum of the exponentials are written. Both are 0 where nothing is visible.
   */
  static void exponentials(long scores, int visible, int limit, long maximumAt, long sumAt) {
    long row = address(scores);
    int bound = hideTail(row, visible);
    FloatVector maxima = broadcast(Float.NEGATIVE_INFINITY);
    for (int i = 0; i < bound; i += Lanes.LENGTH) {
      FloatVector x = load(row + 4L * i);
      // Java's maximum takes five instructions because of NaN and signed zeros.
      maxima = maxima.blend(x, x.compare(VectorOperators.GT, maxima));
    }
    float highest = Lanes.max(maxima);
    float maximum = highest == Float.NEGATIVE_INFINITY ? 0 : highest;
    FloatVector shift = broadcast(maximum);
    FloatVector sums = Lanes.zero();
    for (int i = 0; i < bound; i += Lanes.LENGTH) {
      FloatVector e = VectorMath.expOfNonPositive(load(row + 4L * i).sub(shift));
      sums = sums.add(e);
      store(e, row + 4L * i);
    }
    for (int i = bound; i < limit; i += Lanes.LENGTH) {
      store(Lanes.zero(), row + 4L * i);
    }
    Lanes.set(maximumAt, maximum);
    Lanes.set(sumAt, Lanes.sum(sums));
  }

  /** Ends the visible scores with -infinity, up to a whole vector; how many are then defined. */
  static int hideTail(long row, int visible) {
    int bound = (visible + Lanes.LENGTH - 1) & -Lanes.LENGTH;
    for (int i = visible; i < bound; i++) {
      Lanes.set(row + 4L * i, Float.NEGATIVE_INFINITY);
    }
    return bound;
  }
}
