package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.NDArray;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/** Log-sum-exp of rows of logits, and the gradient of the loss: a row at a time, in cache. */
final class VectorCrossEntropy {
  private static final FloatVector LOWEST = Lanes.broadcast(Float.NEGATIVE_INFINITY);

  private final WorkerPool workers;

  VectorCrossEntropy(WorkerPool workers) {
    this.workers = workers;
  }

  void forward(
      NDArray logits, NDArray targets, long firstColumn, NDArray logSumExp, NDArray targetLogit) {
    long from = logits.address();
    long sums = logSumExp.address();
    long hits = targetLogit.address();
    int columns = Math.toIntExact(logits.dim(1));
    workers.run(
        logits.dim(0),
        VectorMovement.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long at = from + 4 * row * columns;
            Lanes.set(sums + 4 * row, logSumExp(at, columns));
            long column = column(targets, row, firstColumn, columns);
            Lanes.set(hits + 4 * row, column < 0 ? 0 : Lanes.get(at + 4 * column));
          }
        });
  }

  /** The row's target among these columns, or -1. */
  private static long column(NDArray targets, long row, long firstColumn, int columns) {
    long target = VectorMovement.row(targets, row);
    long column = target - firstColumn;
    return target >= 0 && column >= 0 && column < columns ? column : -1;
  }

  private static float logSumExp(long start, int columns) {
    long at = address(start);
    int bound = columns & -LENGTH;
    FloatVector most = LOWEST;
    for (int i = 0; i < bound; i += LENGTH) {
      most = most.max(load(at + 4L * i));
    }
    float max = columns < LENGTH ? Float.NEGATIVE_INFINITY : Lanes.max(most);
    for (int i = bound; i < columns; i++) {
      max = Math.max(max, Lanes.get(at + 4L * i));
    }
    if (max == Float.NEGATIVE_INFINITY) {
      return max;
    }
    FloatVector shift = Lanes.broadcast(max);
    FloatVector sum = Lanes.zero();
    for (int i = 0; i < bound; i += LENGTH) {
      sum = sum.add(VectorMath.expOfNonPositive(load(at + 4L * i).sub(shift)));
    }
    if (bound < columns) {
      VectorMask<Float> rest = Lanes.first(columns - bound);
      FloatVector last = load(at + 4L * bound, rest).sub(shift);
      sum = sum.add(VectorMath.expOfNonPositive(last).blend(Lanes.zero(), rest.not()));
    }
    return (float) (max + Math.log(Lanes.sum(sum)));
  }

  void backward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      double scale,
      NDArray dlogits) {
    long from = logits.address();
    long to = dlogits.address();
    long sums = logSumExp.address();
    float factor = (float) scale;
    int columns = Math.toIntExact(logits.dim(1));
    workers.run(
        logits.dim(0),
        VectorMovement.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            long at = to + 4 * row * columns;
            if (VectorMovement.row(targets, row) < 0) {
              Tiles.fill(at, columns, 0);
              continue;
            }
            probabilities(
                from + 4 * row * columns, Lanes.get(sums + 4 * row), factor, at, columns);
            long column = column(targets, row, firstColumn, columns);
            if (column >= 0) {
              Lanes.set(at + 4 * column, Lanes.get(at + 4 * column) - factor);
            }
          }
        });
  }

  private static void probabilities(long xStart, float sum, float scale, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    FloatVector shift = Lanes.broadcast(sum);
    FloatVector factor = Lanes.broadcast(scale);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(
          VectorMath.expOfNonPositive(load(x + 4L * i).sub(shift)).mul(factor), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector last = load(x + 4L * bound, rest).sub(shift);
      store(VectorMath.expOfNonPositive(last).mul(factor), y + 4L * bound, rest);
    }
  }
}
