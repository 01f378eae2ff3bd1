package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import org.jspecify.annotations.Nullable;

/**
 * Layer and RMS norm. A row is read from memory once and its passes run in the first-level cache.
 * Parameter gradients are summed over the rows of a chunk first, then over chunks in their order.
 */
final class VectorNorms {
  /** Chunks of rows in a backward: what each sums apart costs a row of memory. */
  private static final int CHUNKS = 32;

  private static final int MIN_CHUNK_ROWS = 16;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final ColumnSums sums;

  VectorNorms(WorkerPool workers, MemoryPool memory, ColumnSums sums) {
    this.workers = workers;
    this.memory = memory;
    this.sums = sums;
  }

  // ---- layer norm

  void layerNorm(
      NDArray x,
      NDArray weight,
      @Nullable NDArray bias,
      double epsilon,
      NDArray y,
      NDArray mean,
      NDArray rstd) {
    int columns = Math.toIntExact(x.dim(-1));
    long from = x.address();
    long to = y.address();
    long weights = weight.address();
    long biases = bias == null ? 0 : bias.address();
    long means = mean.address();
    long rstds = rstd.address();
    workers.run(
        x.shape().rows(),
        VectorSoftmax.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long offset = 4 * row * columns;
            float center = Runs.sum(from + offset, columns) / columns;
            double squares = Runs.sumOfSquares(from + offset, center, columns);
            float scale = (float) (1 / Math.sqrt(squares / columns + epsilon));
            Lanes.set(means + 4 * row, center);
            Lanes.set(rstds + 4 * row, scale);
            if (biases == 0) {
              normalize(from + offset, center, scale, weights, to + offset, columns);
            } else {
              normalize(from + offset, center, scale, weights, biases, to + offset, columns);
            }
          }
        });
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

  void layerNormBackward(
      NDArray x,
      NDArray weight,
      NDArray mean,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    backward(x, weight, mean.address(), rstd, dy, dx, dweight, dbias);
  }

  // ---- RMS norm

  void rmsNorm(NDArray x, NDArray weight, double epsilon, NDArray y, NDArray rstd) {
    int columns = Math.toIntExact(x.dim(-1));
    long from = x.address();
    long to = y.address();
    long weights = weight.address();
    long rstds = rstd.address();
    workers.run(
        x.shape().rows(),
        VectorSoftmax.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long offset = 4 * row * columns;
            double squares = Runs.sumOfSquares(from + offset, 0, columns);
            float scale = (float) (1 / Math.sqrt(squares / columns + epsilon));
            Lanes.set(rstds + 4 * row, scale);
            normalize(from + offset, 0, scale, weights, to + offset, columns);
          }
        });
  }

  void rmsNormBackward(
      NDArray x,
      NDArray weight,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight) {
    backward(x, weight, 0, rstd, dy, dx, dweight, null);
  }

  // ---- the common backward

  /**
   * With n = (x - mean) rstd and g = dy weight: dx = rstd (g - mean(g) - n mean(g n)), dweight = Σ
   * dy n, dbias = Σ dy. RMS norm is the case without means, where mean(g) does not come in.
   *
   * @param means address of the rows' means, or 0 for RMS norm
   */
  private void backward(
      NDArray x,
      NDArray weight,
      long means,
      NDArray rstd,
      NDArray dy,
      @Nullable NDArray dx,
      @Nullable NDArray dweight,
      @Nullable NDArray dbias) {
    int columns = Math.toIntExact(x.dim(-1));
    long rows = x.shape().rows();
    long grain = Math.max(MIN_CHUNK_ROWS, (rows + CHUNKS - 1) / CHUNKS);
    long chunks = (rows + grain - 1) / grain;
    boolean parameters = dweight != null || dbias != null;
    long from = x.address();
    long gradient = dy.address();
    long weights = weight.address();
    long rstds = rstd.address();
    long to = dx == null ? 0 : dx.address();
    long rowBytes = 4L * columns;
    Block block = memory.borrow(parameters ? 2 * chunks * rowBytes : 0);
    try {
      long weightSums = block.segment().address();
      long biasSums = weightSums + chunks * rowBytes;
      workers.run(
          rows,
          grain,
          (start, end) -> {
            long dw = weightSums + start / grain * rowBytes;
            long db = biasSums + start / grain * rowBytes;
            if (parameters) {
              Tiles.fill(dw, columns, 0);
              Tiles.fill(db, columns, 0);
            }
            for (long row = start; row < end; row++) {
              long offset = row * rowBytes;
              float center = means == 0 ? 0 : Lanes.get(means + 4 * row);
              float scale = Lanes.get(rstds + 4 * row);
              if (parameters) {
                addParameters(from + offset, center, scale, gradient + offset, dw, db, columns);
              }
              if (to != 0) {
                inputGradient(
                    from + offset,
                    center,
                    scale,
                    means != 0,
                    weights,
                    gradient + offset,
                    to + offset,
                    columns);
              }
            }
          });
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

  private static void inputGradient(
      long xStart,
      float center,
      float scale,
      boolean centered,
      long weightStart,
      long dyStart,
      long dxStart,
      int n) {
    if (n < LENGTH) {
      narrowInputGradient(xStart, center, scale, centered, weightStart, dyStart, dxStart, n);
      return;
    }
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
    float sum = centered ? Lanes.sum(sum0.add(sum1)) : 0;
    float dot = Lanes.sum(dot0.add(dot1)) * scale;
    writeInputGradient(xStart, center, scale, weightStart, dyStart, sum / n, dot / n, dxStart, n);
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
