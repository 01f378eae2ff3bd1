package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.AttentionBlocks.roundUp;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.broadcast;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * Gradients of {@link VectorAttention}, by the same blocks. With p a block's probabilities,
 * computed again as exp(scale q kᵀ - logSumExp), and δ = Σ dout out for each query: dv = pᵀ dout;
 * ds = p (dout vᵀ - δ); dq = scale ds k; dk = scale dsᵀ q. (Dao et al., "FlashAttention", 2022,
 * algorithm 4.)
 *
 * <p>A task is one key head with all query heads that read it: it alone adds to its part of dk and
 * dv, always in the same order. The sums are kept in scratch memory and written to dk and dv once.
 */
final class VectorAttentionBackward {
  private final WorkerPool workers;
  private final MemoryPool memory;
  private final WorkerPool.WorkerTask task = this::headRange;
  private final AttentionBlocks.Stage[] stages = {
    this::scoreRows,
    this::deltaRows,
    this::probabilityRows,
    this::addToKeysAndValues,
    this::queryGradients
  };

  private final AttentionBlocks blocks;
  private final @Nullable MachineRows machine;
  private final HeadRows q = new HeadRows();
  private final HeadRows k = new HeadRows();
  private final HeadRows v = new HeadRows();
  private final HeadRows out = new HeadRows();
  private final HeadRows dout = new HeadRows();
  private final HeadRows dq = new HeadRows();
  private final HeadRows dk = new HeadRows();
  private final HeadRows dv = new HeadRows();
  private long logSumExp;
  private float scale;

  // Scratch: where the parts of a thread's share lie. The panels of kᵀ come first.
  private long scratch;
  private long scratchBytes;
  private long valuePanels;
  private long keyPanels;
  private long dkSums;
  private long dvSums;
  private long edge;
  private long columnPanels;
  private long dqBlock;
  private long scores;
  private long dscores;
  private long deltas;
  private long zeros;

  /**
   * Gradients of attention by a rank's threads.
   *
   * @param machineCode whether products and loops over scores may be machine code
   */
  VectorAttentionBackward(WorkerPool workers, MemoryPool memory, boolean machineCode) {
    this.workers = workers;
    this.memory = memory;
    this.blocks = AttentionBlocks.of(machineCode);
    this.machine = machineCode ? MachineRows.here() : null;
  }

  void attentionBackward(
      NDArray newQ,
      NDArray newK,
      NDArray newV,
      NDArray newOut,
      NDArray newLogSumExp,
      NDArray newDout,
      AttentionMask mask,
      double newScale,
      NDArray newDq,
      NDArray newDk,
      NDArray newDv) {
    AttentionBlocks g = blocks;
    g.describe(newQ, newK, mask);
    if (g.batch * g.keyHeads == 0) {
      return;
    }
    q.describe(newQ);
    k.describe(newK);
    v.describe(newV);
    out.describe(newOut);
    dout.describe(newDout);
    dq.describe(newDq);
    dk.describe(newDk);
    dv.describe(newDv);
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

  private void divideScratch() {
    AttentionBlocks g = blocks;
    long acrossBytes = g.panelBytes(g.keys, g.headSize);
    long keyBytes = roundUp(g.keys, g.tileRows) * g.sizeBytes;
    valuePanels = acrossBytes;
    keyPanels = valuePanels + acrossBytes;
    dkSums = keyPanels + g.panelBytes(g.headSize, g.keys);
    dvSums = dkSums + keyBytes;
    edge = dvSums + keyBytes;
    columnPanels = edge + g.tileRows * g.sizeBytes;
    dqBlock = columnPanels + g.panelBytes(g.headSize, g.rows);
    scores = roundUp(dqBlock + g.rows * g.sizeBytes, MemoryPool.ALIGNMENT);
    dscores = scores + g.rows * g.scoreBytes;
    deltas = dscores + g.rows * g.scoreBytes;
    zeros = deltas + VectorAttention.statisticBytes(g.rows);
    scratchBytes = roundUp(zeros + Float.BYTES * g.panelColumns, 2 * MemoryPool.ALIGNMENT);
  }

  private void headRange(int worker, long start, long end) {
    AttentionBlocks g = blocks;
    long own = scratch + worker * scratchBytes;
    Tiles.fill(own + zeros, g.panelColumns, 0);
    for (long unit = start; unit < end; unit++) {
      long batch = unit / g.keyHeads;
      long keyHead = unit % g.keyHeads;
      long keyRows = k.at(batch, 0, keyHead);
      long valueRows = v.at(batch, 0, keyHead);
      int touched = k.touch(batch, keyHead, g.keys) | v.touch(batch, keyHead, g.keys);
      for (long head = keyHead * g.group; head < (keyHead + 1) * g.group; head++) {
        touched |=
            q.touch(batch, head, g.queries)
                | dout.touch(batch, head, g.queries)
                | out.touch(batch, head, g.queries);
      }
      Lanes.MEMORY.set(ValueLayout.JAVA_INT, own + deltas, touched);
      g.packColumns(keyRows, k.rowBytes, g.keys, own);
      // The scale goes into the keys: they are fewer than the scores.
      VectorArithmetic.scale(own, scale, own, (int) (valuePanels / Float.BYTES));
      g.packColumns(valueRows, v.rowBytes, g.keys, own + valuePanels);
      g.packRows(keyRows, k.rowBytes, g.keys, own + keyPanels);
      // dkSums and dvSums are neighbours.
      Tiles.fill(own + dkSums, (edge - dkSums) / 4, 0);
      g.run(stages, batch, keyHead, own);
      long dkRows = dk.at(batch, 0, keyHead);
      long dvRows = dv.at(batch, 0, keyHead);
      // All at once: a loop of scaled rows in this method had the JIT make a vector object a row.
      long sums = own + dkSums;
      VectorArithmetic.scale(sums, scale, sums, (int) (g.keys * g.sizeBytes / Float.BYTES));
      Tiles.copy(sums, g.sizeBytes, dkRows, dk.rowBytes, g.keys, g.headSize);
      Tiles.copy(own + dvSums, g.sizeBytes, dvRows, dv.rowBytes, g.keys, g.headSize);
    }
  }

  private void scoreRows(long batch, long head, int first, int count, long own) {
    AttentionBlocks g = blocks;
    long zero = own + zeros;
    long last = own + edge;
    long queries = q.at(batch, first, head);
    g.scores(first, count, queries, q.rowBytes, own, zero, last, own + scores);
    long gradients = dout.at(batch, first, head);
    long values = own + valuePanels;
    g.scores(first, count, gradients, dout.rowBytes, values, zero, last, own + dscores);
  }

  private void deltaRows(long batch, long head, int first, int count, long own) {
    if (machine != null && blocks.headSize % Lanes.LENGTH == 0) {
      RowLoop.Call call = RowLoop.call();
      call.length(blocks.headSize);
      call.array(0, dout.at(batch, first, head), dout.rowBytes);
      call.array(1, out.at(batch, first, head), out.rowBytes);
      call.result(0, own + deltas, Float.BYTES);
      call.run(machine.dots(Type.F32), count);
      return;
    }
    for (int row = 0; row < count; row++) {
      long gradient = dout.at(batch, first + row, head);
      long value = out.at(batch, first + row, head);
      Lanes.set(own + deltas + 4L * row, dot(gradient, value, blocks.headSize));
    }
  }

  private void probabilityRows(long batch, long head, int first, int count, long own) {
    AttentionBlocks g = blocks;
    long statistic = logSumExp + 4 * ((batch * g.heads + head) * g.queries + first);
    RowLoop.@Nullable Call call = machine == null ? null : RowLoop.call();
    if (call != null) {
      call.lengths(count);
    }
    for (int row = 0; row < count; row++) {
      float logSum = Lanes.get(statistic + 4L * row);
      // A query without keys has no gradients, and -infinity - -infinity would be NaN.
      int visible = logSum == Float.NEGATIVE_INFINITY ? 0 : g.visible(first + row);
      int limit = g.limit(first, row, count);
      if (call != null) {
        call.length(row, visible, limit);
      } else {
        float delta = Lanes.get(own + deltas + 4L * row);
        long at = own + row * g.scoreBytes;
        probabilities(at + scores, at + dscores, visible, limit, logSum, delta);
      }
    }
    if (machine != null && call != null) {
      call.array(0, own + scores, g.scoreBytes);
      call.array(1, own + dscores, g.scoreBytes);
      call.scalar(0, statistic, Float.BYTES);
      call.scalar(1, own + deltas, Float.BYTES);
      call.run(machine.probabilities, count);
    }
  }

  /** Adds pᵀ dout to the sums for dv and dsᵀ q to those for dk. */
  private void addToKeysAndValues(long batch, long head, int first, int count, long own) {
    AttentionBlocks g = blocks;
    for (int part = 0; part < 2; part++) {
      boolean ofValues = part == 0;
      HeadRows rows = ofValues ? dout : q;
      long from = rows.at(batch, first, head);
      long weights = own + (ofValues ? scores : dscores);
      long sums = own + (ofValues ? dvSums : dkSums);
      g.packRows(from, rows.rowBytes, count, own + columnPanels);
      g.addTransposed(first, count, weights, own + columnPanels, sums);
    }
  }

  private void queryGradients(long batch, long head, int first, int count, long own) {
    AttentionBlocks g = blocks;
    g.mix(first, count, own + dscores, own + keyPanels, own + zeros, own + dqBlock);
    for (int row = 0; row < count; row++) {
      long from = own + dqBlock + row * g.sizeBytes;
      VectorArithmetic.scale(from, scale, dq.at(batch, first + row, head), g.headSize);
    }
  }

  /** Scores become probabilities p, and their gradients p (gradient - delta). */
  static void probabilities(
      long scores, long gradients, int visible, int limit, float logSumExp, float delta) {
    long row = address(scores);
    long gradientRow = address(gradients);
    int bound = VectorAttention.hideTail(row, visible);
    FloatVector shift = broadcast(logSumExp);
    FloatVector mean = broadcast(delta);
    for (int i = 0; i < bound; i += Lanes.LENGTH) {
      FloatVector p = VectorMath.expOfNonPositive(load(row + 4L * i).sub(shift));
      store(p, row + 4L * i);
      store(load(gradientRow + 4L * i).sub(mean).mul(p), gradientRow + 4L * i);
    }
    for (int i = bound; i < limit; i += Lanes.LENGTH) {
      store(Lanes.zero(), row + 4L * i);
      store(Lanes.zero(), gradientRow + 4L * i);
    }
  }

  /**
   * Σ a b. A rest is summed one by one, as {@link MicroKernel} sums, so that in small heads the δ
   * of a query with one key is exactly its gradient, and dq exactly 0.
   */
  static float dot(long a, long b, int count) {
    long left = address(a);
    long right = address(b);
    FloatVector sums = Lanes.zero();
    int bound = count & -Lanes.LENGTH;
    for (int i = 0; i < bound; i += Lanes.LENGTH) {
      sums = load(left + 4L * i).fma(load(right + 4L * i), sums);
    }
    float rest = 0;
    for (int i = bound; i < count; i++) {
      rest = Math.fma(Lanes.get(left + 4L * i), Lanes.get(right + 4L * i), rest);
    }
    return Lanes.sum(sums) + rest;
  }
}
