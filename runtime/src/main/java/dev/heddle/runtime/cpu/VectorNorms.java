package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import org.jspecify.annotations.Nullable;

/**
 * Layer and RMS norm. A piece of rows is read from memory once and its passes run in the
 * first-level cache. Parameter gradients are summed over the rows of a chunk first, then over
 * chunks in their order.
 *
 * <p>The object's own fields describe the running call to the workers.
 */
final class VectorNorms {
  /** Chunks of rows in a backward: what each sums apart costs a row of memory. */
  private static final int CHUNKS = 32;

  private static final int MIN_CHUNK_ROWS = 16;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final ColumnSums sums;
  private final @Nullable RowLoop gradientCode;
  private final RowStages forward =
      new RowStages(this::centerRows, this::measureRows, this::normalizeRows);
  private final RowStages backward =
      new RowStages(this::addToParameters, this::averageRows, this::writeInputGradients);
  private final RowStages wholeBackward =
      new RowStages(this::clearSums, this::readRows, this::writeInputGradients);

  private int columns;
  private long rowBytes;
  private double epsilon;
  private long xs;
  private long weights;

  /** 0 where there are none. */
  private long biases;

  /** 0 for RMS norm. */
  private long means;

  private long rstds;
  private long ys;
  private long dys;

  /** 0 where it is not wanted. */
  private long dxs;

  private boolean parameters;
  private long grain;
  private long weightSums;
  private long biasSums;
  private long averages;

  /**
   * Norms by a rank's threads.
   *
   * @param machineCode whether loops may be machine code
   */
  VectorNorms(WorkerPool workers, MemoryPool memory, ColumnSums sums, boolean machineCode) {
    this.workers = workers;
    this.memory = memory;
    this.sums = sums;
    @Nullable MachineRows loops = machineCode ? MachineRows.here() : null;
    this.gradientCode = loops == null ? null : loops.normGradients(Type.F32);
  }

  // ---- forward

  void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double newEpsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd) {
    biases = bias == null ? 0 : bias.address();
    normalize(x, weight, newEpsilon, y, mean.address(), rstd);
  }

  void rmsNorm(NDArray x, NDArray weight, double newEpsilon, NDArray y, NDArray rstd) {
    biases = 0;
    normalize(x, weight, newEpsilon, y, 0, rstd);
  }

  private void normalize(
      NDArray x, NDArray weight, double newEpsilon, NDArray y, long newMeans, NDArray rstd) {
    describe(x, weight, newMeans, rstd);
    epsilon = newEpsilon;
    ys = y.address();
    workers.run(x.shape().rows(), VectorSoftmax.rowGrain(columns), forward.forColumns(columns));
  }

  private void describe(NDArray x, NDArray weight, long newMeans, NDArray rstd) {
    columns = Math.toIntExact(x.dim(-1));
    rowBytes = 4L * columns;
    xs = x.address();
    weights = weight.address();
    means = newMeans;
    rstds = rstd.address();
  }

  private float mean(long row) {
    return means == 0 ? 0 : Lanes.get(means + 4 * row);
  }

  private void centerRows(long start, long end) {
    if (means == 0) {
      return;
    }
    for (long row = start; row < end; row++) {
      Lanes.set(means + 4 * row, Runs.sum(xs + row * rowBytes, columns) / columns);
    }
  }

  private void measureRows(long start, long end) {
    for (long row = start; row < end; row++) {
      double squares = Runs.sumOfSquares(xs + row * rowBytes, mean(row), columns);
      Lanes.set(rstds + 4 * row, (float) (1 / Math.sqrt(squares / columns + epsilon)));
    }
  }

  private void normalizeRows(long start, long end) {
    for (long row = start; row < end; row++) {
      long offset = row * rowBytes;
      float center = mean(row);
      float scale = Lanes.get(rstds + 4 * row);
      if (biases == 0) {
        normalize(xs + offset, center, scale, weights, ys + offset, columns);
      } else {
        normalize(xs + offset, center, scale, weights, biases, ys + offset, columns);
      }
    }
  }

  /** y = (x - center) scale weight. */
  private static void normalize(
      long xStart, float center, float scale, long weightStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    long w = address(weightStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(x + 4L * i).sub(c).mul(s).mul(load(w + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = 4L * bound;
      store(load(x + at, rest).sub(c).mul(s).mul(load(w + at, rest)), y + at, rest);
    }
  }

  /** y = (x - center) scale weight + bias. */
  private static void normalize(
      long xStart,
      float center,
      float scale,
      long weightStart,
      long biasStart,
      long yStart,
      int n) {
    long x = address(xStart);
    long y = address(yStart);
    long w = address(weightStart);
    long b = address(biasStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      FloatVector normalized = load(x + 4L * i).sub(c).mul(s);
      store(normalized.fma(load(w + 4L * i), load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = 4L * bound;
      FloatVector normalized = load(x + at, rest).sub(c).mul(s);
      store(normalized.fma(load(w + at, rest), load(b + at, rest)), y + at, rest);
    }
  }

  // ---- backward

  void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    describe(x, weight, mean.address(), rstd);
    differentiate(x.shape().rows(), dy, dx, dweight, dbias);
  }

  void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    describe(x, weight, 0, rstd);
    differentiate(x.shape().rows(), dy, dx, dweight, null);
  }

  /**
   * With n = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - n mean(g n)), dweight = Σ
   * dy n, dbias = Σ dy. RMS norm is the case without means, where mean(g) does not come in.
   */
  private void differentiate(
      long rows,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    grain = Math.max(MIN_CHUNK_ROWS, (rows + CHUNKS - 1) / CHUNKS);
    long chunks = (rows + grain - 1) / grain;
    parameters = dweight != null || dbias != null;
    dys = dy.address();
    dxs = dx == null ? 0 : dx.address();
    long sumBytes = parameters ? chunks * rowBytes : 0;
    Block block = memory.borrow(2 * sumBytes + (dx == null ? 0 : 8 * rows));
    try {
      weightSums = block.segment().address();
      biasSums = weightSums + sumBytes;
      averages = biasSums + sumBytes;
      boolean all = parameters && dx != null && columns >= LENGTH;
      workers.run(rows, grain, (all ? wholeBackward : backward).forColumns(columns));
      if (dweight != null) {
        sums.add(weightSums, rowBytes, chunks, columns, dweight.address());
      }
      if (dbias != null) {
        sums.add(biasSums, rowBytes, chunks, columns, dbias.address());
      }
    } finally {
      block.release();
    }
  }

  /** Where a chunk begins, its sums do. */
  private void clearSums(long start, long end) {
    if (start % grain == 0) {
      Tiles.fill(weightSums + start / grain * rowBytes, columns, 0);
      Tiles.fill(biasSums + start / grain * rowBytes, columns, 0);
    }
  }

  /** {@link #addToParameters} and {@link #averageRows} in one. */
  private void readRows(long start, long end) {
    long dw = weightSums + start / grain * rowBytes;
    long db = biasSums + start / grain * rowBytes;
    long row =
        start
            + NormGradients.addPairs(
                gradientCode,
                end - start,
                xs + start * rowBytes,
                dys + start * rowBytes,
                rowBytes,
                means == 0 ? 0 : means + 4 * start,
                rstds + 4 * start,
                weights,
                dw,
                db,
                averages + 8 * start,
                columns);
    for (; row + 2 <= end; row += 2) {
      long offset = row * rowBytes;
      NormGradients.addPair(
          xs + offset,
          dys + offset,
          rowBytes,
          mean(row),
          Lanes.get(rstds + 4 * row),
          mean(row + 1),
          Lanes.get(rstds + 4 * row + 4),
          weights,
          dw,
          db,
          averages + 8 * row,
          columns);
    }
    if (row < end) {
      NormGradients.addRow(
          xs + row * rowBytes,
          dys + row * rowBytes,
          mean(row),
          Lanes.get(rstds + 4 * row),
          weights,
          dw,
          db,
          averages + 8 * row,
          columns);
    }
    for (row = start; row < end; row++) {
      long at = averages + 8 * row;
      Lanes.set(at, Lanes.get(at) / columns);
      Lanes.set(at + 4, Lanes.get(at + 4) / columns);
    }
  }

  private void addToParameters(long start, long end) {
    if (!parameters) {
      return;
    }
    clearSums(start, end);
    long dw = weightSums + start / grain * rowBytes;
    long db = biasSums + start / grain * rowBytes;
    for (long row = start; row < end; row++) {
      long offset = row * rowBytes;
      float scale = Lanes.get(rstds + 4 * row);
      addParameters(xs + offset, mean(row), scale, dys + offset, dw, db, columns);
    }
  }

  private void averageRows(long start, long end) {
    if (dxs == 0 || columns < LENGTH) {
      return;
    }
    for (long row = start; row < end; row++) {
      long offset = row * rowBytes;
      average(xs + offset, mean(row), weights, dys + offset, columns, averages + 8 * row);
    }
  }

  private void writeInputGradients(long start, long end) {
    if (dxs == 0) {
      return;
    }
    for (long row = start; row < end; row++) {
      long offset = row * rowBytes;
      long x = xs + offset;
      long dy = dys + offset;
      long dx = dxs + offset;
      float scale = Lanes.get(rstds + 4 * row);
      if (columns < LENGTH) {
        narrowInputGradient(x, mean(row), scale, means != 0, weights, dy, dx, columns);
      } else {
        float g = means == 0 ? 0 : Lanes.get(averages + 8 * row);
        float product = Lanes.get(averages + 8 * row + 4) * scale;
        writeInputGradient(x, mean(row), scale, weights, dy, g, product, dx, columns);
      }
    }
  }

  /** dw += dy n; db += dy. */
  private static void addParameters(
      long xStart, float center, float scale, long dyStart, long dwStart, long dbStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dw = address(dwStart);
    long db = address(dbStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      long at = 4L * i;
      FloatVector g = load(dy + at);
      store(load(x + at).sub(c).mul(s).fma(g, load(dw + at)), dw + at);
      store(g.add(load(db + at)), db + at);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = 4L * bound;
      FloatVector g = load(dy + at, rest);
      store(load(x + at, rest).sub(c).mul(s).fma(g, load(dw + at, rest)), dw + at, rest);
      store(g.add(load(db + at, rest)), db + at, rest);
    }
  }

  /** Writes mean(g) and mean(g (x - center)), g = dy weight, to {@code to}. */
  private static void average(
      long xStart, float center, long weightStart, long dyStart, int n, long to) {
    long x = address(xStart);
    long w = address(weightStart);
    long dy = address(dyStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector sum0 = Lanes.zero();
    FloatVector sum1 = sum0;
    FloatVector dot0 = sum0;
    FloatVector dot1 = sum0;
    int i = 0;
    for (; i <= n - 2 * LENGTH; i += 2 * LENGTH) {
      long at = 4L * i;
      FloatVector g0 = load(dy + at).mul(load(w + at));
      FloatVector g1 = load(dy + at + Lanes.BYTES).mul(load(w + at + Lanes.BYTES));
      sum0 = sum0.add(g0);
      sum1 = sum1.add(g1);
      dot0 = load(x + at).sub(c).fma(g0, dot0);
      dot1 = load(x + at + Lanes.BYTES).sub(c).fma(g1, dot1);
    }
    while (i < n) {
      int count = Math.min(LENGTH, n - i);
      VectorMask<Float> mask = Lanes.first(count);
      long at = 4L * i;
      FloatVector g = load(dy + at, mask).mul(load(w + at, mask));
      sum0 = sum0.add(g);
      dot0 = load(x + at, mask).sub(c).fma(g, dot0);
      i += count;
    }
    Lanes.set(to, Lanes.sum(sum0.add(sum1)) / n);
    Lanes.set(to + 4, Lanes.sum(dot0.add(dot1)) / n);
  }

  /** Of a few columns almost nothing is left after the means are taken away: double precision. */
  private static void narrowInputGradient(
      long x, float center, float scale, boolean centered, long w, long dy, long dx, int n) {
    double sum = 0;
    double dot = 0;
    for (int i = 0; i < n; i++) {
      double g = (double) Lanes.get(dy + 4L * i) * Lanes.get(w + 4L * i);
      sum += g;
      dot += g * ((double) Lanes.get(x + 4L * i) - center) * scale;
    }
    double mean = centered ? sum / n : 0;
    for (int i = 0; i < n; i++) {
      double g = (double) Lanes.get(dy + 4L * i) * Lanes.get(w + 4L * i);
      double normalized = ((double) Lanes.get(x + 4L * i) - center) * scale;
      Lanes.set(dx + 4L * i, (float) (scale * (g - mean - normalized * dot / n)));
    }
  }

  /** dx = scale (g - meanOfG - n meanOfProduct) with g = dy w and n = (x - center) scale. */
  private static void writeInputGradient(
      long xStart,
      float center,
      float scale,
      long weightStart,
      long dyStart,
      float meanOfG,
      float meanOfProduct,
      long dxStart,
      int n) {
    long x = address(xStart);
    long w = address(weightStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    FloatVector mg = Lanes.broadcast(meanOfG);
    FloatVector mp = Lanes.broadcast(-meanOfProduct);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      long at = 4L * i;
      FloatVector normalized = load(x + at).sub(c).mul(s);
      FloatVector g = load(dy + at).mul(load(w + at)).sub(mg);
      store(normalized.fma(mp, g).mul(s), dx + at);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = 4L * bound;
      FloatVector normalized = load(x + at, rest).sub(c).mul(s);
      FloatVector g = load(dy + at, rest).mul(load(w + at, rest)).sub(mg);
      store(normalized.fma(mp, g).mul(s), dx + at, rest);
    }
  }
}
