package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMNS;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMN_BYTES;
import static dev.heddle.runtime.cpu.MicroKernel.ROWS;

import dev.heddle.runtime.cpu.VectorAttention.Heads;
import dev.heddle.runtime.cpu.VectorAttention.Operand;
import jdk.incubator.vector.FloatVector;

/**
 * Gradients of attention for one (batch, key head) at a time. With p the probabilities, recomputed
 * by blocks of queries: dv += pᵀ dout; ds = p (dout vᵀ - Σ dout out); dq = scale ds k; dk += scale
 * dsᵀ q. The sums for dk and dv are kept in scratch, over the blocks of all heads of the group.
 */
final class VectorAttentionBackward {
  private final Heads heads;
  private final Operand q;
  private final Operand k;
  private final Operand v;
  private final Operand out;
  private final long logSumExp;
  private final Operand dout;
  private final Operand dq;
  private final Operand dk;
  private final Operand dv;

  // Offsets into a task's scratch memory, which starts with a row of zeros.
  private final long keyColumns;
  private final long valueColumns;
  private final long keyRows;
  private final long keyGradients;
  private final long valueGradients;
  private final long queryPanels;
  private final long queryColumns;
  private final long gradientPanels;
  private final long gradientColumns;
  private final long resultPanels;
  private final long deltas;
  private final long scores;
  private final long products;
  private final long results;

  /** Scratch memory of a task. */
  final long bytes;

  VectorAttentionBackward(
      Heads heads,
      Operand q,
      Operand k,
      Operand v,
      Operand out,
      long logSumExp,
      Operand dout,
      Operand dq,
      Operand dk,
      Operand dv) {
    this.heads = heads;
    this.q = q;
    this.k = k;
    this.v = v;
    this.out = out;
    this.logSumExp = logSumExp;
    this.dout = dout;
    this.dq = dq;
    this.dk = dk;
    this.dv = dv;
    long ofKeys = heads.scoreStride() * heads.size();
    long keyVectors = heads.vectorStride() * heads.keyPanels() * COLUMNS;
    long rowPanels = 4L * heads.block() * heads.size();
    long queryVectors = heads.vectorStride() * heads.block();
    long blockScores = heads.scoreStride() * heads.block();
    keyColumns = COLUMN_BYTES;
    valueColumns = keyColumns + ofKeys;
    keyRows = valueColumns + ofKeys;
    keyGradients = keyRows + heads.vectorStride() * heads.keys();
    valueGradients = keyGradients + keyVectors;
    queryPanels = valueGradients + keyVectors;
    queryColumns = queryPanels + rowPanels;
    gradientPanels = queryColumns + queryVectors;
    gradientColumns = gradientPanels + rowPanels;
    resultPanels = gradientColumns + queryVectors;
    deltas = resultPanels + rowPanels;
    scores = deltas + 4L * COLUMNS * ((heads.block() + COLUMNS - 1) / COLUMNS);
    products = scores + blockScores;
    results = products + blockScores;
    bytes = results + queryVectors;
  }

  /** All gradients of one key head; dq of the heads that read it. */
  void run(long scratch, long b, long keyHead) {
    int keys = heads.keys();
    int size = heads.size();
    int sizePanels = heads.sizePanels();
    long vectorStride = heads.vectorStride();
    int visible = heads.queries() == 0 ? 0 : heads.visible(heads.queries() - 1L);
    Tiles.fill(scratch, COLUMNS, 0);
    Packing.columnPanels(
        k.at(b, keyHead), k.rowStride(), true, visible, size, scratch + keyColumns);
    Packing.columnPanels(
        v.at(b, keyHead), v.rowStride(), true, visible, size, scratch + valueColumns);
    Packing.columnPanels(
        k.at(b, keyHead), k.rowStride(), false, size, visible, scratch + keyRows);
    long gradientFloats = (long) heads.keyPanels() * COLUMNS * sizePanels * COLUMNS;
    Tiles.fill(scratch + keyGradients, gradientFloats, 0);
    Tiles.fill(scratch + valueGradients, gradientFloats, 0);
    for (long i = 0; i < heads.group(); i++) {
      long head = keyHead * heads.group() + i;
      for (int first = 0; first < heads.queries(); first += heads.block()) {
        int count = Math.min(heads.block(), heads.queries() - first);
        queryBlock(scratch, b, head, first, count, visible);
      }
    }
    Tiles.copy(
        scratch + keyGradients, vectorStride, dk.at(b, keyHead), dk.rowStride(), keys, size);
    Tiles.copy(
        scratch + valueGradients, vectorStride, dv.at(b, keyHead), dv.rowStride(), keys, size);
  }

  private void queryBlock(
      long scratch, long b, long head, int first, int count, int packedKeys) {
    int size = heads.size();
    int visible = heads.visible(first + count - 1L);
    long stride = heads.scoreStride();
    long vectorStride = heads.vectorStride();
    long queries = q.at(b, head) + first * q.rowStride();
    long gradient = dout.at(b, head) + first * dout.rowStride();
    long result = out.at(b, head) + first * out.rowStride();
    long statistics = logSumExp + 4 * ((b * heads.heads() + head) * heads.queries() + first);
    packQueries(scratch, queries, gradient, count);
    // In the same order as dout vᵀ, so that they cancel exactly where a query sees one key.
    Packing.rowPanels(result, out.rowStride(), false, count, size, scratch + resultPanels);
    Packing.rowDots(
        scratch + gradientPanels, scratch + resultPanels, count, size, scratch + deltas);

    // Scores and dout vᵀ, both queries × keys.
    scoreProduct(scratch, queryPanels, keyColumns, scores, count, visible);
    scoreProduct(scratch, gradientPanels, valueColumns, products, count, visible);
    int padded = (visible + COLUMNS - 1) / COLUMNS * COLUMNS;
    for (int row = 0; row < count; row++) {
      int seen = heads.visible(first + row);
      float logSum = Lanes.get(statistics + 4L * row);
      long p = scratch + scores + row * stride;
      long ds = scratch + products + row * stride;
      if (logSum == Float.NEGATIVE_INFINITY) {
        seen = 0;
      }
      scoreGradients(p, ds, logSum, Lanes.get(scratch + deltas + 4L * row), seen);
      Tiles.fill(p + 4L * seen, padded - seen, 0);
      Tiles.fill(ds + 4L * seen, padded - seen, 0);
    }

    // dq = ds k.
    long vectors = scratch + results;
    for (int panel = 0; panel < heads.sizePanels(); panel++) {
      long rows = scratch + keyRows + (long) panel * packedKeys * COLUMN_BYTES;
      for (int row = 0; row < count; row += ROWS) {
        MicroKernel.tileOfRows(
            scratch + products + row * stride,
            stride,
            rows,
            visible,
            scratch,
            0,
            vectors + row * vectorStride + (long) panel * COLUMN_BYTES,
            vectorStride);
      }
    }
    long target = dq.at(b, head) + first * dq.rowStride();
    for (int row = 0; row < count; row++) {
      VectorArithmetic.scale(
          vectors + row * vectorStride, heads.scale(), target + row * dq.rowStride(), size);
    }

    // dv += pᵀ dout and dk += dsᵀ q.
    keyProduct(scratch, scores, gradientColumns, valueGradients, count, visible);
    keyProduct(scratch, products, queryColumns, keyGradients, count, visible);
  }

  /** Queries, times the scale, and dout: as rows for the scores, as columns for dk and dv. */
  private void packQueries(long scratch, long queries, long gradient, int count) {
    int size = heads.size();
    int rowFloats = (count + ROWS - 1) / ROWS * ROWS * size;
    int columnFloats = heads.sizePanels() * COLUMNS * count;
    float scale = heads.scale();
    long panels = scratch + queryPanels;
    long columns = scratch + queryColumns;
    Packing.rowPanels(queries, q.rowStride(), false, count, size, panels);
    VectorArithmetic.scale(panels, scale, panels, rowFloats);
    Packing.columnPanels(queries, q.rowStride(), false, size, count, columns);
    VectorArithmetic.scale(columns, scale, columns, columnFloats);
    Packing.rowPanels(gradient, dout.rowStride(), false, count, size, scratch + gradientPanels);
    Packing.columnPanels(gradient, dout.rowStride(), false, size, count, scratch + gradientColumns);
  }

  /** A block of queries × keys from packed rows and columns. */
  private void scoreProduct(long scratch, long rows, long columns, long to, int count, int visible) {
    int size = heads.size();
    int panels = (visible + COLUMNS - 1) / COLUMNS;
    long panelBytes = (long) size * COLUMN_BYTES;
    for (int panel = 0; panel < panels; panel++) {
      for (int row = 0; row < count; row += ROWS) {
        MicroKernel.tile(
            scratch + rows + 4L * row * size,
            scratch + columns + panel * panelBytes,
            size,
            scratch,
            0,
            scratch + to + row * heads.scoreStride() + (long) panel * COLUMN_BYTES,
            heads.scoreStride());
      }
    }
  }

  /** Adds blockᵀ columns to a keys × size gradient. */
  private void keyProduct(long scratch, long block, long columns, long to, int count, int visible) {
    long panelBytes = (long) count * COLUMN_BYTES;
    long vectorStride = heads.vectorStride();
    for (int panel = 0; panel < heads.sizePanels(); panel++) {
      for (int key = 0; key < visible; key += ROWS) {
        long sum = scratch + to + key * vectorStride + (long) panel * COLUMN_BYTES;
        MicroKernel.tileOfColumns(
            scratch + block + 4L * key,
            heads.scoreStride(),
            scratch + columns + panel * panelBytes,
            count,
            sum,
            vectorStride,
            sum,
            vectorStride);
      }
    }
  }

  /** p = e^(s - logSum) in place of s; ds = p (dp - delta) in place of dp. */
  private static void scoreGradients(long pStart, long dsStart, float logSum, float delta, int n) {
    long p = address(pStart);
    long ds = address(dsStart);
    FloatVector shift = Lanes.broadcast(logSum);
    FloatVector center = Lanes.broadcast(delta);
    // Rows are padded to whole panels: what is written past n is overwritten with zeros.
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector probability = VectorMath.exp(load(p + 4L * i).sub(shift));
      store(probability, p + 4L * i);
      store(load(ds + 4L * i).sub(center).mul(probability), ds + 4L * i);
    }
  }
}
