package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.List;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Functions of two arrays with broadcasting, and its transpose: sums over broadcast dims. */
final class VectorBroadcast {
  /** Doubles in vectors of the same width. */
  private static final VectorSpecies<Double> DOUBLES =
      VectorSpecies.of(double.class, Lanes.SPECIES.vectorShape());

  /** Vectors that a column sum keeps in registers. */
  private static final int COLUMNS = 4 * LENGTH;

  /** Rows that are summed in registers before they join the total: bounds the rounding error. */
  private static final int ROWS = 64;

  private final WorkerPool workers;

  VectorBroadcast(WorkerPool workers) {
    this.workers = workers;
  }

  void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    if (y.size() == 0) {
      return;
    }
    long left = a.address();
    long right = b.address();
    long to = y.address();
    if (same(a, y) && same(b, y)) {
      workers.run(
          y.size(),
          VectorElementwise.GRAIN,
          (start, end) ->
              VectorArithmetic.apply(
                  op, left + 4 * start, right + 4 * start, to + 4 * start, (int) (end - start)));
      return;
    }
    Shape shape = y.rank() == 0 ? Shape.of(1) : y.shape();
    RowOffsets lefts = RowOffsets.of(a, shape);
    RowOffsets rights = RowOffsets.of(b, shape);
    int columns = Math.toIntExact(shape.dim(-1));
    workers.run(
        shape.size() / columns,
        VectorMovement.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            binaryRow(
                op,
                left + 4 * lefts.of(row),
                lefts.innerStride(),
                right + 4 * rights.of(row),
                rights.innerStride(),
                to + 4 * row * columns,
                columns);
          }
        });
  }

  private static boolean same(NDArray x, NDArray y) {
    return x.isContiguous() && x.shape().equals(y.shape());
  }

  private static void binaryRow(
      BinaryOperation op, long a, long aStride, long b, long bStride, long y, int columns) {
    if (aStride == 1 && bStride == 1) {
      VectorArithmetic.apply(op, a, b, y, columns);
    } else if (aStride == 1 && bStride == 0) {
      VectorArithmetic.applyRight(op, a, Lanes.get(b), y, columns);
    } else if (aStride == 0 && bStride == 1) {
      VectorArithmetic.applyLeft(op, Lanes.get(a), b, y, columns);
    } else {
      for (int i = 0; i < columns; i++) {
        float value =
            VectorArithmetic.apply(
                op, Lanes.get(a + 4 * i * aStride), Lanes.get(b + 4 * i * bStride));
        Lanes.set(y + 4L * i, value);
      }
    }
  }

  // ---- sums

  /**
   * Whether {@link #sumTo} can: everything into one, the leading dims away, or the innermost dim
   * away, of a contiguous array.
   */
  static boolean canSumTo(NDArray x, NDArray y) {
    return x.isContiguous() && (y.size() == 1 || sumsLeading(x, y) || sumsInnermost(x, y));
  }

  /** Whether y is x's trailing dims, perhaps with ones before them. */
  private static boolean sumsLeading(NDArray x, NDArray y) {
    int i = 1;
    while (i <= y.rank() && y.dim(-i) == x.dim(-i)) {
      i++;
    }
    for (int rest = i; rest <= y.rank(); rest++) {
      if (y.dim(-rest) != 1) {
        return false;
      }
    }
    return i > 1;
  }

  private static boolean sumsInnermost(NDArray x, NDArray y) {
    return x.rank() == y.rank() && y.dim(-1) == 1 && y.size() == x.shape().rows();
  }

  void sumTo(NDArray x, NDArray y) {
    long from = x.address();
    long to = y.address();
    if (x.size() == 0) {
      Tiles.fill(to, y.size(), 0);
    } else if (y.size() == 1) {
      Lanes.set(to, (float) sum(x));
    } else if (sumsLeading(x, y)) {
      long columns = y.size();
      long rows = x.size() / columns;
      workers.run(
          columns,
          COLUMNS,
          (start, end) ->
              sumColumns(
                  from + 4 * start, 4 * columns, rows, to + 4 * start, (int) (end - start)));
    } else {
      int columns = Math.toIntExact(x.dim(-1));
      workers.run(
          y.size(),
          VectorMovement.rowGrain(columns),
          (start, end) -> {
            for (long row = start; row < end; row++) {
              Lanes.set(to + 4 * row, (float) sumRun(from + 4 * row * columns, columns));
            }
          });
    }
  }

  /** Sums down up to {@link #COLUMNS} columns. */
  private static void sumColumns(long from, long stride, long rows, long to, int columns) {
    if (columns == COLUMNS) {
      sumFourVectors(from, Lanes.stride(stride), rows, to);
      return;
    }
    for (int i = 0; i < columns; i += LENGTH) {
      VectorMask<Float> mask = Lanes.SPECIES.indexInRange(i, columns);
      FloatVector total = Lanes.zero();
      for (long block = 0; block < rows; block += ROWS) {
        FloatVector part = Lanes.zero();
        long end = Math.min(rows, block + ROWS);
        for (long row = block; row < end; row++) {
          part = part.add(load(address(from + row * stride + 4L * i), mask));
        }
        total = total.add(part);
      }
      store(total, address(to + 4L * i), mask);
    }
  }

  private static void sumFourVectors(long from, long stride, long rows, long to) {
    FloatVector total0 = Lanes.zero();
    FloatVector total1 = Lanes.zero();
    FloatVector total2 = Lanes.zero();
    FloatVector total3 = Lanes.zero();
    for (long block = 0; block < rows; block += ROWS) {
      long at = address(from + block * stride);
      FloatVector part0 = Lanes.zero();
      FloatVector part1 = Lanes.zero();
      FloatVector part2 = Lanes.zero();
      FloatVector part3 = Lanes.zero();
      int count = (int) Math.min(rows - block, ROWS);
      for (int row = 0; row < count; row++) {
        long here = address(at + row * stride);
        part0 = part0.add(load(here));
        part1 = part1.add(load(here + Lanes.BYTES));
        part2 = part2.add(load(here + 2L * Lanes.BYTES));
        part3 = part3.add(load(here + 3L * Lanes.BYTES));
      }
      total0 = total0.add(part0);
      total1 = total1.add(part1);
      total2 = total2.add(part2);
      total3 = total3.add(part3);
    }
    store(total0, address(to));
    store(total1, address(to + Lanes.BYTES));
    store(total2, address(to + 2L * Lanes.BYTES));
    store(total3, address(to + 3L * Lanes.BYTES));
  }

  private double sum(NDArray x) {
    return total(x, VectorBroadcast::sumRun);
  }

  /** What is added up of a run of floats. */
  private interface RunSum {
    double of(long start, int count);
  }

  /** Chunks are summed by whoever comes, and their sums added in order. */
  private double total(NDArray x, RunSum run) {
    long grain = VectorElementwise.GRAIN;
    int chunks = Math.toIntExact((x.size() + grain - 1) / grain);
    long from = x.address();
    if (chunks == 1) {
      return run.of(from, (int) x.size());
    }
    double[] parts = new double[chunks];
    workers.run(
        x.size(),
        grain,
        (start, end) ->
            parts[(int) (start / grain)] = run.of(from + 4 * start, (int) (end - start)));
    double sum = 0;
    for (double part : parts) {
      sum += part;
    }
    return sum;
  }

  double sumOfSquares(List<NDArray> arrays) {
    double sum = 0;
    for (NDArray array : arrays) {
      NDArray packed = array.contiguous();
      if (packed.size() > 0) {
        sum += total(packed, VectorBroadcast::squaresRun);
      }
    }
    return sum;
  }

  private static double sumRun(long start, int count) {
    long at = address(start);
    double sum = 0;
    // Runs of bounded length in float, their sums in double.
    for (int block = 0; block < count; block += 2048) {
      int end = Math.min(count, block + 2048);
      int bound = block + ((end - block) & -(2 * LENGTH));
      FloatVector even = Lanes.zero();
      FloatVector odd = Lanes.zero();
      for (int i = block; i < bound; i += 2 * LENGTH) {
        even = even.add(load(at + 4L * i));
        odd = odd.add(load(at + 4L * i + Lanes.BYTES));
      }
      sum += Lanes.sum(even.add(odd));
      for (int i = bound; i < end; i++) {
        sum += Lanes.get(at + 4L * i);
      }
    }
    return sum;
  }

  /** In double throughout: a norm of millions of squares is compared between layouts. */
  private static double squaresRun(long start, int count) {
    long at = address(start);
    int bound = count & -LENGTH;
    DoubleVector low = DoubleVector.zero(DOUBLES);
    DoubleVector high = DoubleVector.zero(DOUBLES);
    for (int i = 0; i < bound; i += LENGTH) {
      FloatVector x = load(at + 4L * i);
      DoubleVector first = (DoubleVector) x.convertShape(VectorOperators.F2D, DOUBLES, 0);
      DoubleVector second = (DoubleVector) x.convertShape(VectorOperators.F2D, DOUBLES, 1);
      low = first.fma(first, low);
      high = second.fma(second, high);
    }
    double sum = 0;
    for (int lane = 0; lane < DOUBLES.length(); lane++) {
      sum += low.lane(lane) + high.lane(lane);
    }
    for (int i = bound; i < count; i++) {
      double x = Lanes.get(at + 4L * i);
      sum += x * x;
    }
    return sum;
  }
}
