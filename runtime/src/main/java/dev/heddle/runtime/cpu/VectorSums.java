package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;

import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.ValueLayout;
import java.util.List;
import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Sums over dims, and the sum of squares that the gradient norm is made of. */
final class VectorSums {
  private static final VectorSpecies<Double> DOUBLES =
      VectorSpecies.of(double.class, Lanes.SPECIES.vectorShape());
  private static final int SQUARES_RUN = 1024;
  private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final ColumnSums columnSums;

  VectorSums(WorkerPool workers, MemoryPool memory, ColumnSums columnSums) {
    this.workers = workers;
    this.memory = memory;
    this.columnSums = columnSums;
  }

  /**
   * y = x summed over the dims that y lacks or has with size 1.
   *
   * @return false, having done nothing, if kept and summed dims alternate in a way not served here
   */
  boolean sumTo(NDArray x, NDArray y) {
    if (x.size() == 0 || y.size() == 0) {
      return false;
    }
    // Sizes of the runs of summed, kept, summed, kept dims, outermost first.
    long summedOuter = 1;
    long kept = 1;
    long summed = 1;
    long keptInner = 1;
    int state = 0;
    for (int dim = 0; dim < x.rank(); dim++) {
      long size = x.dim(dim);
      if (size == 1) {
        continue;
      }
      int below = x.rank() - dim;
      boolean keep = below <= y.rank() && y.dim(-below) != 1;
      if (keep && state % 2 == 0 || !keep && state % 2 == 1) {
        state++;
      }
      switch (state) {
        case 0 -> summedOuter *= size;
        case 1 -> kept *= size;
        case 2 -> summed *= size;
        case 3 -> keptInner *= size;
        default -> {
          return false;
        }
      }
    }
    boolean strided = !x.isContiguous();
    if (strided && !(state == 1 && kept == x.dim(-1))) {
      return false;
    }
    long from = x.address();
    long to = y.address();
    if (state == 0) {
      Lanes.set(to, sum(from, summedOuter));
    } else if (state == 1) {
      long rowBytes = strided ? 4 * KernelChecks.rowStride(x) : 4 * kept;
      columnSums.add(from, rowBytes, summedOuter, Math.toIntExact(kept), to);
    } else if (summedOuter != 1) {
      return false;
    } else if (state == 2) {
      sumRows(from, kept, Math.toIntExact(summed), to);
    } else {
      sumMiddle(from, kept, summed, Math.toIntExact(keptInner), to);
    }
    return true;
  }

  private float sum(long from, long count) {
    long grain = VectorElementwise.GRAIN;
    long chunks = (count + grain - 1) / grain;
    Block block = memory.borrow(4 * chunks);
    try {
      long sums = block.segment().address();
      workers.run(
          count,
          grain,
          (start, end) ->
              Lanes.set(
                  sums + 4 * (start / grain), Runs.sum(from + 4 * start, (int) (end - start))));
      double total = 0;
      for (long i = 0; i < chunks; i++) {
        total += Lanes.get(sums + 4 * i);
      }
      return (float) total;
    } finally {
      block.release();
    }
  }

  private void sumRows(long from, long rows, int columns, long to) {
    workers.run(
        rows,
        VectorSoftmax.rowGrain(columns),
        (start, end) -> {
          for (long row = start; row < end; row++) {
            Lanes.set(to + 4 * row, Runs.sum(from + 4 * row * columns, columns));
          }
        });
  }

  private void sumMiddle(long from, long outer, long middle, int inner, long to) {
    workers.run(
        outer,
        VectorSoftmax.rowGrain(middle * inner),
        (start, end) -> {
          for (long i = start; i < end; i++) {
            long at = from + 4 * i * middle * inner;
            columnSums.sumRows(at, 4L * inner, middle, inner, to + 4 * i * inner);
          }
        });
  }

  double sumOfSquares(List<NDArray> arrays) {
    double total = 0;
    for (int i = 0; i < arrays.size(); i++) {
      NDArray array = arrays.get(i);
      total += sumOfSquares(array.address(), array.size());
    }
    return total;
  }

  private double sumOfSquares(long from, long count) {
    long grain = VectorElementwise.GRAIN;
    if (count <= grain) {
      return squares(from, (int) count);
    }
    long chunks = (count + grain - 1) / grain;
    Block block = memory.borrow(8 * chunks);
    try {
      long sums = block.segment().address();
      workers.run(
          count,
          grain,
          (start, end) ->
              Lanes.MEMORY.set(
                  DOUBLE,
                  sums + 8 * (start / grain),
                  squares(from + 4 * start, (int) (end - start))));
      double total = 0;
      for (long i = 0; i < chunks; i++) {
        total += Lanes.MEMORY.get(DOUBLE, sums + 8 * i);
      }
      return total;
    } finally {
      block.release();
    }
  }

  /**
   * By short runs, because the compiler looks sooner at what is called often than at a loop that
   * goes on: conversions of vectors that are not compiled are slow beyond all others, and a long
   * loop of them took a quarter of a first training step.
   */
  private static double squares(long start, int n) {
    double total = 0;
    for (int i = 0; i < n; i += SQUARES_RUN) {
      total += squaresOfRun(start + 4L * i, Math.min(SQUARES_RUN, n - i));
    }
    return total;
  }

  private static double squaresOfRun(long start, int n) {
    long x = address(start);
    DoubleVector s0 = DoubleVector.zero(DOUBLES);
    DoubleVector s1 = s0;
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      DoubleVector low = (DoubleVector) v.convertShape(VectorOperators.F2D, DOUBLES, 0);
      DoubleVector high = (DoubleVector) v.convertShape(VectorOperators.F2D, DOUBLES, 1);
      s0 = low.fma(low, s0);
      s1 = high.fma(high, s1);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector v = load(x + 4L * bound, rest);
      DoubleVector low = (DoubleVector) v.convertShape(VectorOperators.F2D, DOUBLES, 0);
      DoubleVector high = (DoubleVector) v.convertShape(VectorOperators.F2D, DOUBLES, 1);
      s0 = low.fma(low, s0);
      s1 = high.fma(high, s1);
    }
    DoubleVector both = s0.add(s1);
    double total = 0;
    for (int lane = 0; lane < DOUBLES.length(); lane++) {
      total += both.lane(lane);
    }
    return total;
  }
}
