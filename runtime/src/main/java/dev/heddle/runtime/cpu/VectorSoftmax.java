package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.NDArray;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Softmax and the cross-entropy, row by row: each row is read from memory once. */
final class VectorSoftmax {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private final WorkerPool workers;

  VectorSoftmax(WorkerPool workers) {
    this.workers = workers;
  }

  /** Rows of a chunk, for rows of {@code columns} elements. */
  static long rowGrain(long columns) {
    return Math.max(1, VectorElementwise.GRAIN / Math.max(1, columns));
  }

  void softmax(NDArray x, NDArray y) {
    int columns = Math.toIntExact(x.dim(-1));
    long from = x.address();
    long to = y.address();
    workers.run(
        columns == 0 ? 0 : x.shape().rows(),
        rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long offset = 4 * row * columns;
            softmaxRow(from + offset, to + offset, columns);
          }
        });
  }

  private static void softmaxRow(long x, long y, int columns) {
    float max = Runs.max(x, columns);
    if (max == Float.NEGATIVE_INFINITY) {
      Tiles.fill(y, columns, Runs.hasNaN(x, columns) ? Float.NaN : 0);
      return;
    }
    float sum = Runs.expAndSum(x, max, y, columns);
    VectorArithmetic.scale(y, 1 / sum, y, columns);
  }

  void softmaxBackward(NDArray y, NDArray dy, NDArray dx) {
    int columns = Math.toIntExact(y.dim(-1));
    long probabilities = y.address();
    long gradient = dy.address();
    long to = dx.address();
    workers.run(
        columns == 0 ? 0 : y.shape().rows(),
        rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long offset = 4 * row * columns;
            float dot = Runs.dot(probabilities + offset, gradient + offset, columns);
            gradientRow(probabilities + offset, gradient + offset, dot, to + offset, columns);
          }
        });
  }

  /** dx = p (dy - dot). */
  private static void gradientRow(long pStart, long dyStart, float dot, long dxStart, int n) {
    long p = address(pStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    FloatVector center = Lanes.broadcast(dot);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(dy + 4L * i).sub(center).mul(load(p + 4L * i)), dx + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = 4L * bound;
      store(load(dy + at, rest).sub(center).mul(load(p + at, rest)), dx + at, rest);
    }
  }

  void crossEntropy(
      NDArray logits, NDArray targets, long firstColumn, NDArray logSumExp, NDArray targetLogit) {
    int columns = Math.toIntExact(logits.dim(1));
    long from = logits.address();
    long wanted = targets.address();
    long logSums = logSumExp.address();
    long picked = targetLogit.address();
    workers.run(
        logits.dim(0),
        rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long x = from + 4 * row * columns;
            Lanes.set(logSums + 4 * row, logSumExp(x, columns));
            long column = column(wanted, row, firstColumn);
            boolean here = column >= 0 && column < columns;
            Lanes.set(picked + 4 * row, here ? Lanes.get(x + 4 * column) : 0);
          }
        });
  }

  /** The target's column here; negative if it is ignored or lies before the first column. */
  private static long column(long targets, long row, long firstColumn) {
    long target = Lanes.MEMORY.get(LONG, targets + 8 * row);
    return target < 0 ? -1 : target - firstColumn;
  }

  private static float logSumExp(long x, int columns) {
    float max = Runs.max(x, columns);
    if (max == Float.NEGATIVE_INFINITY) {
      return Runs.hasNaN(x, columns) ? Float.NaN : max;
    }
    return (float) (max + Math.log(Runs.sumOfExp(x, max, columns)));
  }

  void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      double scale,
      NDArray dlogits) {
    int columns = Math.toIntExact(logits.dim(1));
    long from = logits.address();
    long wanted = targets.address();
    long logSums = logSumExp.address();
    long to = dlogits.address();
    float factor = (float) scale;
    workers.run(
        logits.dim(0),
        rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long offset = 4 * row * columns;
            long y = to + offset;
            if (Lanes.MEMORY.get(LONG, wanted + 8 * row) < 0) {
              Tiles.fill(y, columns, 0);
              continue;
            }
            probabilities(from + offset, Lanes.get(logSums + 4 * row), factor, y, columns);
            long column = column(wanted, row, firstColumn);
            if (column >= 0 && column < columns) {
              Lanes.set(y + 4 * column, Lanes.get(y + 4 * column) - factor);
            }
          }
        });
  }

  /** y = factor e^(x - shift). */
  private static void probabilities(long x, float shift, float factor, long y, int n) {
    int whole = n & -LENGTH;
    probabilitiesOfVectors(x, shift, factor, y, whole);
    if (whole < n) {
      long pad = Pad.address();
      Tiles.copy(x + 4L * whole, pad, n - whole);
      probabilitiesOfVectors(pad, shift, factor, pad, LENGTH);
      Tiles.copy(pad, y + 4L * whole, n - whole);
    }
  }

  private static void probabilitiesOfVectors(
      long xStart, float shift, float factor, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    FloatVector offset = Lanes.broadcast(shift);
    FloatVector scale = Lanes.broadcast(factor);
    for (int i = 0; i < n; i += LENGTH) {
      store(VectorMath.exp(load(x + 4L * i).sub(offset)).mul(scale), y + 4L * i);
    }
  }

  void argmaxRows(NDArray x, NDArray y) {
    int columns = Math.toIntExact(x.dim(1));
    long from = x.address();
    long to = y.address();
    workers.run(
        x.dim(0),
        rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            Lanes.MEMORY.set(LONG, to + 8 * row, argmax(from + 4 * row * columns, columns));
          }
        });
  }

  private static int argmax(long x, int columns) {
    int best = 0;
    float largest = Lanes.get(x);
    for (int i = 1; i < columns; i++) {
      float value = Lanes.get(x + 4L * i);
      if (value > largest) {
        best = i;
        largest = value;
      }
    }
    return best;
  }
}
