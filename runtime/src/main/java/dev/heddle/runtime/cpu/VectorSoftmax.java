package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.OutOfRange;
import dev.heddle.runtime.machine.RowLoop;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import org.jspecify.annotations.Nullable;

/**
 * Softmax and the cross-entropy, row by row: each row is read from memory once. The object's own
 * fields describe the running call to the workers.
 */
final class VectorSoftmax {
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final @Nullable MachineRows machine;
  private final RowStages softmax =
      new RowStages(this::findMaxima, this::exponentials, this::divideRows);
  private final RowStages crossEntropy =
      new RowStages(this::findMaxima, this::logSums, this::pickTargets);

  // The running call.
  private int columns;
  private long xs;
  private long ys;
  private long maxima;
  private long sums;
  private long targets;
  private long firstColumn;
  private long picked;

  /**
   * Softmax by a rank's threads.
   *
   * @param machineCode whether loops may be machine code
   */
  VectorSoftmax(WorkerPool workers, MemoryPool memory, boolean machineCode) {
    this.workers = workers;
    this.memory = memory;
    this.machine = machineCode ? MachineRows.here() : null;
  }

  /** Rows of a chunk, for rows of {@code columns} elements. */
  static long rowGrain(long columns) {
    return Math.max(1, VectorElementwise.GRAIN / Math.max(1, columns));
  }

  void softmax(NDArray x, NDArray y) {
    columns = Math.toIntExact(x.dim(-1));
    long rows = columns == 0 ? 0 : x.shape().rows();
    xs = x.address();
    ys = y.address();
    Block block = memory.borrow(8 * rows);
    try {
      maxima = block.segment().address();
      sums = maxima + 4 * rows;
      workers.run(rows, rowGrain(columns), softmax.forColumns(columns));
    } finally {
      block.release();
    }
  }

  private void findMaxima(long start, long end) {
    if (machine != null && columns % LENGTH == 0) {
      RowLoop.Call call = RowLoop.call();
      call.length(columns);
      call.array(0, xs + 4 * start * columns, 4L * columns);
      call.result(0, maxima + 4 * start, Float.BYTES);
      call.run(machine.maximum, end - start);
      for (long row = start; row < end; row++) {
        // Or none: the code tells no difference between that and nothing.
        if (Lanes.get(maxima + 4 * row) == -Float.MAX_VALUE) {
          Lanes.set(maxima + 4 * row, Runs.max(xs + 4 * row * columns, columns));
        }
      }
      return;
    }
    for (long row = start; row < end; row++) {
      Lanes.set(maxima + 4 * row, Runs.max(xs + 4 * row * columns, columns));
    }
  }

  private void exponentials(long start, long end) {
    if (machine != null && columns % LENGTH == 0 && areMaxima(start, end)) {
      RowLoop.Call call = RowLoop.call();
      call.length(columns);
      call.array(0, xs + 4 * start * columns, 4L * columns);
      call.array(1, ys + 4 * start * columns, 4L * columns);
      call.scalar(0, maxima + 4 * start, Float.BYTES);
      call.result(0, sums + 4 * start, Float.BYTES);
      call.run(machine.exponentials, end - start);
      return;
    }
    for (long row = start; row < end; row++) {
      long offset = 4 * row * columns;
      float max = Lanes.get(maxima + 4 * row);
      // What a row without a finite maximum becomes is not for the exponential to say.
      float sum =
          max == Float.NEGATIVE_INFINITY
              ? 0
              : Runs.expAndSum(xs + offset, max, ys + offset, columns);
      Lanes.set(sums + 4 * row, sum);
    }
  }

  /** Whether each of some rows has a maximum. */
  private boolean areMaxima(long start, long end) {
    for (long row = start; row < end; row++) {
      if (Lanes.get(maxima + 4 * row) == Float.NEGATIVE_INFINITY) {
        return false;
      }
    }
    return true;
  }

  private void divideRows(long start, long end) {
    for (long row = start; row < end; row++) {
      long y = ys + 4 * row * columns;
      if (Lanes.get(maxima + 4 * row) == Float.NEGATIVE_INFINITY) {
        boolean hasNaN = Runs.hasNaN(xs + 4 * row * columns, columns);
        Tiles.fill(y, columns, hasNaN ? Float.NaN : 0);
      } else {
        VectorArithmetic.scale(y, 1 / Lanes.get(sums + 4 * row), y, columns);
      }
    }
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
      NDArray logits,
      NDArray newTargets,
      long column,
      long classes,
      NDArray logSumExp,
      NDArray targetLogit) {
    columns = Math.toIntExact(logits.dim(1));
    firstColumn = column;
    xs = logits.address();
    targets = newTargets.address();
    checkTargets(newTargets, classes);
    // The maxima are kept where their log-sum-exps come.
    maxima = logSumExp.address();
    picked = targetLogit.address();
    workers.run(logits.dim(0), rowGrain(columns), crossEntropy.forColumns(columns));
  }

  /**
   * Looks for a target that is no class.
   *
   * @throws IndexOutOfBoundsException naming the row
   */
  static void checkTargets(NDArray targets, long classes) {
    long from = targets.address();
    for (long row = 0; row < targets.size(); row++) {
      long target = Lanes.MEMORY.get(LONG, from + 8 * row);
      if (target >= classes) {
        throw OutOfRange.target(row, target, classes);
      }
    }
  }

  private void logSums(long start, long end) {
    for (long row = start; row < end; row++) {
      long x = xs + 4 * row * columns;
      float max = Lanes.get(maxima + 4 * row);
      if (max != Float.NEGATIVE_INFINITY) {
        double logSum = max + Math.log(Runs.sumOfExp(x, max, columns));
        Lanes.set(maxima + 4 * row, (float) logSum);
      } else if (Runs.hasNaN(x, columns)) {
        Lanes.set(maxima + 4 * row, Float.NaN);
      }
    }
  }

  private void pickTargets(long start, long end) {
    for (long row = start; row < end; row++) {
      long column = column(targets, row, firstColumn);
      boolean here = column >= 0 && column < columns;
      Lanes.set(picked + 4 * row, here ? Lanes.get(xs + 4 * (row * columns + column)) : 0);
    }
  }

  /** The target's column here; negative if it is ignored or lies before the first column. */
  private static long column(long targets, long row, long firstColumn) {
    long target = Lanes.MEMORY.get(LONG, targets + 8 * row);
    return target < 0 ? -1 : target - firstColumn;
  }

  void crossEntropyBackward(
      NDArray logits,
      NDArray targets,
      long firstColumn,
      NDArray logSumExp,
      NDArray dloss,
      NDArray dlogits) {
    int columns = Math.toIntExact(logits.dim(1));
    long from = logits.address();
    long wanted = targets.address();
    long logSums = logSumExp.address();
    long to = dlogits.address();
    float factor = Lanes.get(dloss.address());
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
    int rest = n % LENGTH;
    long end = 4L * (n - rest);
    long from = x;
    long to = y;
    int count = n - rest;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      probabilitiesOfVectors(from, shift, factor, to, count);
      if (turns > 1) {
        from = Pad.address();
        Pad.fill(from, x + end, rest, 0);
        to = from;
        count = LENGTH;
      }
    }
    Pad.copy(to, y + end, rest);
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
