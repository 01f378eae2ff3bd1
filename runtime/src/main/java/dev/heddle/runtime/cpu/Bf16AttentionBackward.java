package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.AttentionBlocks.roundUp;
import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * The gradient of attention in bf16 on processors with bf16 instructions: with p = exp(scale k q -
 * logSumExp) and δ = Σ_d dout out, dv = p dout, ds = scale p (v dout - δ), dk = ds q, dq = dsᵀ k.
 *
 * <p>All five products are machine code of our own, or oneDNN's where that is not there. Scores are
 * computed transposed, a row a key, a column a query: then a block of keys has its dk and dv at
 * once, two of three products read p and ds as they lie, and what differs by query, logSumExp and
 * δ, is read by vectors. p and ds are F32 until they are rounded for their products.
 *
 * <p>A task is one key head with all query heads that read it: it alone adds to its part of dk and
 * dv, always in the same order.
 */
final class Bf16AttentionBackward {
  /** Scores of a block that fit the cache, with their gradients, in F32 and beside it in bf16. */
  private static final long BLOCK_SCORES = 43 << 10;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final boolean machineCode;
  private final @Nullable RowLoop rowCode;
  private final @Nullable RowLoop deltaCode;
  private final WorkerPool.WorkerTask task = this::headRange;
  private final AttentionBlocks.Stage[] stages = {
    this::scoreRows, this::probabilityRows, this::keyGradients, this::addToQueries
  };

  private final Bf16AttentionBlocks blocks = new Bf16AttentionBlocks();
  private final HeadRows q = new HeadRows();
  private final HeadRows k = new HeadRows();
  private final HeadRows v = new HeadRows();
  private final HeadRows out = new HeadRows();
  private final HeadRows dout = new HeadRows();
  private final HeadRows dq = new HeadRows();
  private final HeadRows dk = new HeadRows();
  private final HeadRows dv = new HeadRows();
  private final PackedHead queryColumns = new PackedHead();
  private final PackedHead gradientColumns = new PackedHead();
  private final PackedHead queryRows = new PackedHead();
  private final PackedHead gradientRows = new PackedHead();
  private final PackedHead keyRows = new PackedHead();
  private long logSumExp;
  private float scale;

  /** Keys in a block. */
  private int rows;

  private int lengthStep;

  /** Multiply the running call's blocks; null where oneDNN does. */
  private @Nullable TileKernels sumCode;

  private @Nullable TileKernels roundingCode;

  // The products of each block of keys, by oneDNN.
  private OneDnnMatmul.Form[] keyScores = {};
  private OneDnnMatmul.Form[] valueScores = {};
  private OneDnnMatmul.Form[] keySums = {};
  private OneDnnMatmul.Form[] valueSums = {};
  private OneDnnMatmul.Form[] querySums = {};

  // Scratch: where the parts of a thread's share lie. The scores come first.
  private long scratch;
  private long scratchBytes;
  private long stride;
  private long sumStride;
  private long dscores;
  private long rounded;
  private long drounded;
  private long dqSums;
  private long dkSums;
  private long dvSums;
  private long shifts;
  private long deltas;
  private long zeros;
  private long packedGradients;

  /**
   * Gradients of attention by a rank's threads.
   *
   * @param machineCode whether products are machine code where head sizes allow it, else oneDNN's
   */
  Bf16AttentionBackward(WorkerPool workers, MemoryPool memory, boolean machineCode) {
    this.workers = workers;
    this.memory = memory;
    this.machineCode = machineCode;
    @Nullable MachineRows loops = machineCode ? MachineRows.here() : null;
    this.rowCode = loops == null ? null : loops.roundedProbabilities;
    this.deltaCode = loops == null ? null : loops.dots(Type.BF16);
  }

  /** See {@link dev.heddle.runtime.Kernels#attentionBackward}; no size is 0. */
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
    Bf16AttentionBlocks g = blocks;
    g.describe(newQ, newK, mask);
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
    boolean own = machineCode && Bf16AttentionBlocks.suitsMachineCode(newQ);
    sumCode = own ? TileKernels.of(TileCode.Kind.BF16_TO_F32) : null;
    roundingCode = own ? TileKernels.of(TileCode.Kind.BF16) : null;
    divideScratch();
    if (sumCode == null) {
      describeProducts();
    }
    Block block = memory.borrow(workers.threads() * scratchBytes);
    try {
      scratch = block.segment().address();
      workers.runOnWorkers(g.batch * g.keyHeads, 1, task);
    } finally {
      block.release();
    }
  }

  /** Whether several heads add to one dk, which is then summed in F32. */
  private boolean isShared() {
    return blocks.group > 1;
  }

  private void divideScratch() {
    Bf16AttentionBlocks g = blocks;
    rows = g.blockRows(g.keys, g.queries, BLOCK_SCORES, sumCode != null);
    lengthStep =
        sumCode == null ? Bf16AttentionBlocks.lengthStep(g.queries, rows) : TileKernels.COLUMNS;
    stride = Bf16AttentionBlocks.stride(g.queries);
    sumStride = roundUp(g.headSize, LENGTH);
    long line = MemoryPool.ALIGNMENT;
    long keyBytes = isShared() ? 4 * g.keys * sumStride : 0;
    // Vectors of queries may begin anywhere in the last one.
    long queryBytes = roundUp(4L * (g.queries + LENGTH), line);
    dscores = roundUp(4 * rows * stride, line);
    rounded = 2 * dscores;
    drounded = rounded + roundUp(2 * rows * stride, line);
    dqSums = drounded + roundUp(2 * rows * stride, line);
    dkSums = dqSums + 4 * g.queries * sumStride;
    dvSums = dkSums + keyBytes;
    shifts = dvSums + keyBytes;
    deltas = shifts + queryBytes;
    zeros = deltas + queryBytes;
    packedGradients = roundUp(zeros + TileKernels.COLUMN_BYTES, line);
    long end = packedGradients;
    if (sumCode != null) {
      end += MachineBlocks.packedRows(g.queries, WordPacking.words(true, rows));
      end = queryColumns.describeColumns(g.queries, g.headSize, end);
      end = gradientColumns.describeColumns(g.queries, g.headSize, end);
      end = queryRows.describeRows(g.queries, g.headSize, end);
      end = gradientRows.describeRows(g.queries, g.headSize, end);
      end = keyRows.describeRows(g.keys, g.headSize, end);
    }
    scratchBytes = roundUp(end, 2 * line);
  }

  private void describeProducts() {
    Bf16AttentionBlocks g = blocks;
    int count = (g.keys + rows - 1) / rows;
    keyScores = new OneDnnMatmul.Form[count];
    valueScores = new OneDnnMatmul.Form[count];
    keySums = new OneDnnMatmul.Form[count];
    valueSums = new OneDnnMatmul.Form[count];
    querySums = new OneDnnMatmul.Form[count];
    for (int i = 0; i < count; i++) {
      int keys = Math.min(rows, g.keys - i * rows);
      int queries = g.queries - firstQuery(i * rows);
      keyScores[i] = scores(keys, queries, k, q);
      valueScores[i] = scores(keys, queries, v, dout);
      keySums[i] = sums(keys, queries, q, dk);
      valueSums[i] = sums(keys, queries, dout, dv);
      querySums[i] =
          Bf16AttentionBlocks.form(
              DType.F32,
              queries,
              g.headSize,
              keys,
              stride,
              true,
              k.rowBytes / 2,
              false,
              sumStride,
              true);
    }
  }

  /** Keys (or values) times queries (or gradients). */
  private OneDnnMatmul.Form scores(int keys, int queries, HeadRows left, HeadRows right) {
    return Bf16AttentionBlocks.form(
        DType.F32,
        keys,
        queries,
        blocks.headSize,
        left.rowBytes / 2,
        false,
        right.rowBytes / 2,
        true,
        stride,
        false);
  }

  /** Probabilities (or their gradients) times gradients (or queries). */
  private OneDnnMatmul.Form sums(int keys, int queries, HeadRows right, HeadRows to) {
    return Bf16AttentionBlocks.form(
        isShared() ? DType.F32 : DType.BF16,
        keys,
        blocks.headSize,
        queries,
        stride,
        false,
        right.rowBytes / 2,
        false,
        isShared() ? sumStride : to.rowBytes / 2,
        isShared());
  }

  /** The first query that a block of keys is multiplied by: it, or later ones, see a key of it. */
  private int firstQuery(int firstKey) {
    int first = blocks.firstQuery(firstKey);
    return first == blocks.queries ? first : first / lengthStep * lengthStep;
  }

  private void headRange(int worker, long start, long end) {
    Bf16AttentionBlocks g = blocks;
    long own = scratch + worker * scratchBytes;
    Tiles.fill(own + zeros, TileKernels.COLUMNS, 0);
    for (long unit = start; unit < end; unit++) {
      long batch = unit / g.keyHeads;
      long keyHead = unit % g.keyHeads;
      // dkSums and dvSums are neighbours, and empty where they are not needed.
      Tiles.fill(own + dkSums, (shifts - dkSums) / 4, 0);
      if (sumCode != null) {
        keyRows.pack(k, batch, keyHead, own);
      }
      for (long head = keyHead * g.group; head < (keyHead + 1) * g.group; head++) {
        describeQueries(batch, head, own);
        if (sumCode != null) {
          queryColumns.pack(q, batch, head, own);
          gradientColumns.pack(dout, batch, head, own);
          queryRows.pack(q, batch, head, own);
          gradientRows.pack(dout, batch, head, own);
        }
        Tiles.fill(own + dqSums, g.queries * sumStride, 0);
        for (int first = 0; first < g.keys; first += rows) {
          // More than two kinds of stages: the compiler then compiles each for itself.
          for (AttentionBlocks.Stage stage : stages) {
            stage.run(batch, head, first, Math.min(rows, g.keys - first), own);
          }
        }
        narrow(own + dqSums, dq.at(batch, 0, head), dq.rowBytes, g.queries);
      }
      if (isShared()) {
        narrow(own + dkSums, dk.at(batch, 0, keyHead), dk.rowBytes, g.keys);
        narrow(own + dvSums, dv.at(batch, 0, keyHead), dv.rowBytes, g.keys);
      }
    }
  }

  private void narrow(long from, long to, long rowBytes, int count) {
    for (int row = 0; row < count; row++) {
      Bf16Conversion.narrow(from + 4 * row * sumStride, to + row * rowBytes, blocks.headSize);
    }
  }

  /** δ of a head's queries, and what their scores are shifted by. */
  private void describeQueries(long batch, long head, long own) {
    Bf16AttentionBlocks g = blocks;
    long statistic = logSumExp + 4 * (batch * g.heads + head) * g.queries;
    for (int query = 0; query < g.queries; query++) {
      float logSum = Lanes.get(statistic + 4L * query);
      // A query that sees nothing: a score minus minus infinity would be NaN.
      float shift = logSum == Float.NEGATIVE_INFINITY ? Float.POSITIVE_INFINITY : logSum;
      Lanes.set(own + shifts + 4L * query, shift);
    }
    if (deltaCode != null && g.headSize % LENGTH == 0) {
      RowLoop.Call call = RowLoop.call();
      call.length(g.headSize);
      call.array(0, dout.at(batch, 0, head), dout.rowBytes);
      call.array(1, out.at(batch, 0, head), out.rowBytes);
      call.result(0, own + deltas, Float.BYTES);
      call.run(deltaCode, g.queries);
    } else {
      deltas(batch, head, own);
    }
    Tiles.fill(own + shifts + 4L * g.queries, LENGTH, Float.POSITIVE_INFINITY);
    Tiles.fill(own + deltas + 4L * g.queries, LENGTH, 0);
  }

  private void deltas(long batch, long head, long own) {
    for (int query = 0; query < blocks.queries; query++) {
      long gradient = dout.at(batch, query, head);
      float delta = dot(gradient, out.at(batch, query, head), blocks.headSize);
      Lanes.set(own + deltas + 4L * query, delta);
    }
  }

  private void scoreRows(long batch, long head, int first, int count, long own) {
    int from = firstQuery(first);
    if (from < blocks.queries) {
      long keyHead = head / blocks.group;
      if (sumCode != null) {
        scores(queryColumns, k.at(batch, first, keyHead), k.rowBytes, count, from, own, own);
        scores(
            gradientColumns,
            v.at(batch, first, keyHead),
            v.rowBytes,
            count,
            from,
            own + dscores,
            own);
        return;
      }
      int block = first / rows;
      OneDnnMatmul products = OneDnnMatmul.ofThisThread();
      products.multiply(
          keyScores[block], k.at(batch, first, keyHead), q.at(batch, from, head), own);
      products.multiply(
          valueScores[block],
          v.at(batch, first, keyHead),
          dout.at(batch, from, head),
          own + dscores);
    }
  }

  /** Rows of keys (or values) times all queries (or gradients) from one on. */
  private void scores(
      PackedHead columns, long a, long aStride, int count, int from, long to, long own) {
    if (sumCode != null) {
      columns.multiply(
          sumCode,
          own,
          a,
          aStride,
          count,
          from,
          blocks.queries,
          0,
          blocks.headSize,
          to,
          4 * stride,
          Float.BYTES,
          own + zeros);
    }
  }

  private void probabilityRows(long batch, long head, int first, int count, long own) {
    Bf16AttentionBlocks g = blocks;
    int from = firstQuery(first);
    if (from == g.queries) {
      return;
    }
    int row = 0;
    while (row < count) {
      int next = row + 1;
      if (rowCode == null) {
        probabilities(from, firstVector(first + row, from), row, own);
      } else {
        int start = firstVector(first + row, from);
        while (next < count && firstVector(first + next, from) == start) {
          next++;
        }
        probabilities(rowCode, from, start, row, next - row, own);
      }
      row = next;
    }
    for (row = 0; row < count; row++) {
      long to = own + 2 * row * stride;
      int hidden = g.firstQuery(first + row) - from;
      if (hidden > 0) {
        Bf16ScoreRows.clear(to + rounded, hidden);
        Bf16ScoreRows.clear(to + drounded, hidden);
      }
      if ((g.queries - from) % 2 != 0) {
        // Completes the last pair.
        Bf16Conversion.set(to + rounded + 2L * (g.queries - from), 0);
        Bf16Conversion.set(to + drounded + 2L * (g.queries - from), 0);
      }
    }
  }

  /** The first query behind {@code from}, by whole vectors, that is computed for a key. */
  private int firstVector(int key, int from) {
    return blocks.firstQuery(key) - from & -LENGTH;
  }

  private void probabilities(int from, int start, int row, long own) {
    long at = own + 4 * row * stride;
    long to = own + 2 * row * stride;
    Bf16ScoreRows.probabilities(
        at + 4L * start,
        at + dscores + 4L * start,
        scale,
        own + shifts + 4L * (from + start),
        own + deltas + 4L * (from + start),
        to + rounded + 2L * start,
        to + drounded + 2L * start,
        blocks.queries - from - start);
  }

  /** The same of {@code count} rows that begin alike. */
  private void probabilities(RowLoop loop, int from, int start, int row, int count, long own) {
    long at = own + 4 * row * stride + 4L * start;
    long to = own + 2 * row * stride + 2L * start;
    RowLoop.Call call = RowLoop.call();
    call.length((int) roundUp(blocks.queries - from - start, LENGTH));
    call.array(0, at, 4 * stride);
    call.array(1, at + dscores, 4 * stride);
    call.array(2, own + shifts + 4L * (from + start), 0);
    call.array(3, own + deltas + 4L * (from + start), 0);
    call.array(4, to + rounded, 2 * stride);
    call.array(5, to + drounded, 2 * stride);
    call.scalar(0, scale);
    call.run(loop, count);
  }

  private void keyGradients(long batch, long head, int first, int count, long own) {
    Bf16AttentionBlocks g = blocks;
    long keyHead = head / g.group;
    long keys = isShared() ? own + dkSums + 4 * first * sumStride : dk.at(batch, first, keyHead);
    long values = isShared() ? own + dvSums + 4 * first * sumStride : dv.at(batch, first, keyHead);
    int from = firstQuery(first);
    if (from < g.queries && sumCode != null) {
      sums(gradientRows, own + rounded, count, from, values, dv.rowBytes, own);
      sums(queryRows, own + drounded, count, from, keys, dk.rowBytes, own);
    } else if (from < g.queries) {
      int block = first / rows;
      OneDnnMatmul products = OneDnnMatmul.ofThisThread();
      products.multiply(valueSums[block], own + rounded, dout.at(batch, from, head), values);
      products.multiply(keySums[block], own + drounded, q.at(batch, from, head), keys);
    } else if (!isShared()) {
      for (int row = 0; row < count; row++) {
        Tiles.zeroBytes(keys + row * dk.rowBytes, 2L * g.headSize);
        Tiles.zeroBytes(values + row * dv.rowBytes, 2L * g.headSize);
      }
    }
  }

  /** Probabilities (or their gradients) of a block of keys times all gradients (or queries). */
  private void sums(
      PackedHead vectors, long a, int count, int from, long to, long rowBytes, long own) {
    TileKernels code = isShared() ? sumCode : roundingCode;
    if (code != null) {
      vectors.multiply(
          code,
          own,
          a,
          2 * stride,
          count,
          0,
          blocks.headSize,
          from,
          blocks.queries - from,
          to,
          isShared() ? 4 * sumStride : rowBytes,
          isShared() ? Float.BYTES : Short.BYTES,
          isShared() ? 0 : own + zeros);
    }
  }

  private void addToQueries(long batch, long head, int first, int count, long own) {
    int from = firstQuery(first);
    if (from < blocks.queries && sumCode != null) {
      int queries = blocks.queries - from;
      long packed = own + packedGradients;
      WordPacking.acrossRows(true, own + drounded, 2 * stride, queries, count, 1, packed);
      keyRows.addPacked(
          sumCode,
          own,
          packed,
          queries,
          first,
          count,
          own + dqSums + 4 * from * sumStride,
          4 * sumStride);
    } else if (from < blocks.queries) {
      OneDnnMatmul.ofThisThread()
          .multiply(
              querySums[first / rows],
              own + drounded,
              k.at(batch, first, head / blocks.group),
              own + dqSums + 4 * from * sumStride);
    }
  }

  /** Σ a b. */
  static float dot(long a, long b, int count) {
    long left = address(a);
    long right = address(b);
    FloatVector sums = Lanes.zero();
    int bound = count & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      sums = Bf16Conversion.load(left + 2L * i).fma(Bf16Conversion.load(right + 2L * i), sums);
    }
    float rest = 0;
    for (int i = bound; i < count; i++) {
      rest = Math.fma(Bf16Conversion.get(a + 2L * i), Bf16Conversion.get(b + 2L * i), rest);
    }
    return Lanes.sum(sums) + rest;
  }
}
