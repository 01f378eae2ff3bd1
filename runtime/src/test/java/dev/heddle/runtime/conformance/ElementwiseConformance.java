package dev.heddle.runtime.conformance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Functions of single elements and the reductions. */
interface ElementwiseConformance extends Conformance {
  /** Elements enough to be shared between threads. */
  int LARGE = (1 << 16) + 5;

  /** Values inside the domain of {@code op}. */
  private static double[] domain(UnaryOperation op, double[] values) {
    return switch (op) {
      case LOG, SQRT -> Arrays.stream(values).map(v -> Math.abs(v) + 0.01).toArray();
      case RECIPROCAL -> Arrays.stream(values).map(v -> v + Math.copySign(0.1, v)).toArray();
      default -> values;
    };
  }

  @Test
  default void unary_everyOperationAndSize_matches() {
    for (UnaryOperation op : UnaryOperation.values()) {
      for (long size : SIZES) {
        for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.SHIFTED)) {
          KernelCase kernelCase = kernelCase("unary " + op + " " + size + " " + placement);
          kernelCase
              .input(placement, Shape.of(size), domain(op, kernelCase.normal(size)))
              .output(placement, size)
              .check((kernels, a) -> kernels.unary(op, a[0], a[1]));
        }
      }
    }
  }

  @Test
  default void unary_large_matchesWithAnyThreadCount() {
    for (UnaryOperation op : UnaryOperation.values()) {
      KernelCase kernelCase = kernelCase("unary large " + op);
      kernelCase
          .inOut(Placement.CONTIGUOUS, Shape.of(LARGE), domain(op, kernelCase.normal(LARGE)))
          .check((kernels, a) -> kernels.unary(op, a[0], a[0]));
    }
  }

  @Test
  default void unary_wideRange_keepsRelativeAccuracy() {
    double[] magnitudes = {0.001, 0.03, 0.4, 0.9, 1.5, 2.5, 3.7, 5, 8, 12, 20, 40, 87};
    for (UnaryOperation op : UnaryOperation.values()) {
      for (double magnitude : magnitudes) {
        for (double value : new double[] {magnitude, -magnitude}) {
          if (value < 0 && (op == UnaryOperation.LOG || op == UnaryOperation.SQRT)) {
            continue;
          }
          double[] values = new double[19];
          Arrays.fill(values, value);
          // The lower tails of GELU and SILU are products of x and something tiny.
          boolean tail = value < -4 && (op == UnaryOperation.GELU || op == UnaryOperation.SILU);
          if (!tail) {
            kernelCase("unary " + op + " of " + value)
                .input(Placement.CONTIGUOUS, Shape.of(19), values)
                .output(Placement.CONTIGUOUS, 19)
                .check((kernels, a) -> kernels.unary(op, a[0], a[1]));
          }
        }
      }
    }
  }

  @Test
  default void unary_specialValues_followIeee() {
    double inf = Double.POSITIVE_INFINITY;
    for (UnaryOperation op : UnaryOperation.values()) {
      for (double value : new double[] {0, -0.0, inf, -inf, Double.NaN, 1e-40, 3e38, -3e38, 89}) {
        boolean vanishing = op == UnaryOperation.GELU || op == UnaryOperation.SILU;
        if (vanishing && value == -inf) {
          continue; // -inf times 0: the limit is 0, IEEE arithmetic says NaN
        }
        double[] values = new double[19];
        Arrays.fill(values, value);
        kernelCase("unary " + op + " of " + value)
            .input(Placement.CONTIGUOUS, Shape.of(19), values)
            .output(Placement.CONTIGUOUS, 19)
            .check((kernels, a) -> kernels.unary(op, a[0], a[1]));
      }
    }
  }

  @Test
  default void unaryBackward_everyOperationAndSize_matches() {
    for (UnaryOperation op : UnaryOperation.values()) {
      for (long size : SIZES) {
        KernelCase kernelCase = kernelCase("unaryBackward " + op + " " + size);
        kernelCase
            .input(Placement.SHIFTED, Shape.of(size), domain(op, kernelCase.normal(size)))
            .input(Placement.CONTIGUOUS, size)
            .output(Placement.CONTIGUOUS, size)
            .check((kernels, a) -> kernels.unaryBackward(op, a[0], a[1], a[2]));
      }
      KernelCase inPlace = kernelCase("unaryBackward in place " + op);
      inPlace
          .input(Placement.CONTIGUOUS, Shape.of(LARGE), domain(op, inPlace.normal(LARGE)))
          .inOut(Placement.CONTIGUOUS, LARGE)
          .check((kernels, a) -> kernels.unaryBackward(op, a[0], a[1], a[1]));
    }
  }

  @Test
  default void binary_everyOperationAndSize_matches() {
    for (BinaryOperation op : BinaryOperation.values()) {
      for (long size : SIZES) {
        KernelCase kernelCase = kernelCase("binary " + op + " " + size);
        kernelCase
            .input(Placement.SHIFTED, size)
            .input(Placement.CONTIGUOUS, Shape.of(size), awayFromZero(kernelCase.normal(size)))
            .output(Placement.CONTIGUOUS, size)
            .check((kernels, a) -> kernels.binary(op, a[0], a[1], a[2]));
      }
    }
  }

  private static double[] awayFromZero(double[] values) {
    return Arrays.stream(values).map(v -> v + Math.copySign(0.5, v)).toArray();
  }

  @Test
  default void binary_broadcasts_asNumpyDoes() {
    long[][][] shapes = {
      {{3, 7}, {7}},
      {{7}, {3, 7}},
      {{3, 1}, {1, 7}},
      {{3, 1}, {3, 7}},
      {{}, {5}},
      {{4, 3}, {}},
      {{}, {}},
      {{1}, {31}},
      {{2, 3, 17}, {3, 1}},
      {{2, 1, 17}, {1, 3, 1}},
      {{2, 3, 4, 5}, {3, 1, 5}},
      {{2, 3, 1, 5}, {1, 1, 4, 1}},
      {{1, 257}, {64, 1}},
      {{64, 100}, {100}},
      {{64, 100}, {64, 1}},
      {{0, 3}, {3}},
      {{1, 3}, {0, 1}}
    };
    for (BinaryOperation op : BinaryOperation.values()) {
      for (long[][] pair : shapes) {
        Shape a = Shape.of(pair[0]);
        Shape b = Shape.of(pair[1]);
        KernelCase kernelCase = kernelCase("binary " + op + " " + a + " " + b);
        kernelCase
            .input(Placement.CONTIGUOUS, a, kernelCase.normal(a.size()))
            .input(Placement.CONTIGUOUS, b, awayFromZero(kernelCase.normal(b.size())))
            .output(Placement.CONTIGUOUS, Shape.broadcast(a, b).toArray())
            .check((kernels, x) -> kernels.binary(op, x[0], x[1], x[2]));
      }
    }
  }

  @Test
  default void binary_stridedInputs_match() {
    for (Placement a : List.of(Placement.values()).subList(0, 4)) {
      for (Placement b : List.of(Placement.TRANSPOSED, Placement.BROADCAST_FIRST)) {
        for (long columns : SIZES) {
          kernelCase("binary " + a + " " + b + " " + columns)
              .input(a, 6, columns)
              .input(b, 6, columns)
              .output(Placement.SHIFTED, 6, columns)
              .check((kernels, x) -> kernels.binary(BinaryOperation.SUBTRACT, x[0], x[1], x[2]));
        }
      }
    }
  }

  @Test
  default void binary_inPlace_matches() {
    for (BinaryOperation op : BinaryOperation.values()) {
      KernelCase left = kernelCase("binary in place of a " + op);
      left.inOut(Placement.CONTIGUOUS, LARGE)
          .input(Placement.CONTIGUOUS, Shape.of(LARGE), awayFromZero(left.normal(LARGE)))
          .check((kernels, a) -> kernels.binary(op, a[0], a[1], a[0]));
      KernelCase right = kernelCase("binary in place of b " + op);
      right
          .input(Placement.CONTIGUOUS, 1, 57)
          .inOut(Placement.CONTIGUOUS, Shape.of(33, 57), awayFromZero(right.normal(33 * 57)))
          .check((kernels, a) -> kernels.binary(op, a[0], a[1], a[1]));
    }
  }

  @Test
  default void binary_maximumOfNaN_isNaN() {
    double[] values = new double[38];
    Arrays.fill(values, 1);
    values[5] = Double.NaN;
    values[37] = Double.NaN;
    double[] others = new double[38];
    others[9] = Double.NaN;
    kernelCase("maximum of NaN")
        .input(Placement.CONTIGUOUS, Shape.of(38), values)
        .input(Placement.CONTIGUOUS, Shape.of(38), others)
        .output(Placement.CONTIGUOUS, 38)
        .check((kernels, a) -> kernels.binary(BinaryOperation.MAXIMUM, a[0], a[1], a[2]));
  }

  @Test
  default void scaleAndAddScaled_everySize_match() {
    for (long size : SIZES) {
      kernelCase("scale " + size)
          .input(Placement.SHIFTED, size)
          .output(Placement.CONTIGUOUS, size)
          .check((kernels, a) -> kernels.scale(a[0], -0.3, a[1]));
      kernelCase("scale in place " + size)
          .inOut(Placement.SHIFTED, size)
          .check((kernels, a) -> kernels.scale(a[0], 2.5, a[0]));
      kernelCase("addScaled " + size)
          .input(Placement.SHIFTED, size)
          .inOut(Placement.CONTIGUOUS, size)
          .check((kernels, a) -> kernels.addScaled(a[0], 0.7, a[1]));
    }
    kernelCase("addScaled large")
        .input(Placement.CONTIGUOUS, LARGE)
        .inOut(Placement.CONTIGUOUS, LARGE)
        .check((kernels, a) -> kernels.addScaled(a[0], 0.7, a[1]));
  }

  @Test
  default void swiglu_stridedRows_matchesBothWays() {
    for (long columns : SIZES) {
      for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS)) {
        kernelCase("swiglu " + columns + " " + placement)
            .input(placement, 2, 3, columns)
            .input(placement, 2, 3, columns)
            .output(Placement.CONTIGUOUS, 2, 3, columns)
            .check((kernels, a) -> kernels.swiglu(a[0], a[1], a[2]));
        kernelCase("swigluBackward " + columns + " " + placement)
            .input(placement, 5, columns)
            .input(placement, 5, columns)
            .input(Placement.CONTIGUOUS, 5, columns)
            .output(placement, 5, columns)
            .output(placement, 5, columns)
            .check((kernels, a) -> kernels.swigluBackward(a[0], a[1], a[2], a[3], a[4]));
      }
    }
    kernelCase("swigluBackward large")
        .input(Placement.PADDED_ROWS, 301, 400)
        .input(Placement.PADDED_ROWS, 301, 400)
        .input(Placement.CONTIGUOUS, 301, 400)
        .output(Placement.PADDED_ROWS, 301, 400)
        .output(Placement.PADDED_ROWS, 301, 400)
        .check((kernels, a) -> kernels.swigluBackward(a[0], a[1], a[2], a[3], a[4]));
  }

  @Test
  default void swiglu_gateAndUpInOneArray_matchesBothWays() {
    for (long columns : new long[] {1, 7, 64, 100}) {
      kernelCase("swiglu packed " + columns)
          .input(Placement.CONTIGUOUS, 9, 2 * columns)
          .output(Placement.CONTIGUOUS, 9, columns)
          .check(
              (kernels, a) ->
                  kernels.swiglu(
                      a[0].slice(1, 0, columns), a[0].slice(1, columns, 2 * columns), a[1]));
      kernelCase("swigluBackward packed " + columns)
          .input(Placement.CONTIGUOUS, 9, 2 * columns)
          .input(Placement.CONTIGUOUS, 9, columns)
          .output(Placement.CONTIGUOUS, 9, 2 * columns)
          .check(
              (kernels, a) ->
                  kernels.swigluBackward(
                      a[0].slice(1, 0, columns),
                      a[0].slice(1, columns, 2 * columns),
                      a[1],
                      a[2].slice(1, 0, columns),
                      a[2].slice(1, columns, 2 * columns)));
    }
  }

  @Test
  default void sumTo_everyBroadcast_isItsTranspose() {
    long[][][] shapes = {
      {{4, 5, 6}, {6}},
      {{4, 5, 6}, {5, 6}},
      {{4, 5, 6}, {1, 1, 6}},
      {{4, 5, 6}, {4, 1, 6}},
      {{4, 5, 6}, {4, 5, 1}},
      {{4, 5, 6}, {1, 5, 1}},
      {{4, 5, 6}, {5, 1}},
      {{4, 5, 6}, {1}},
      {{4, 5, 6}, {}},
      {{4, 5, 6}, {4, 5, 6}},
      {{2, 3, 4, 5}, {3, 1, 5}},
      {{7}, {1}},
      {{}, {}},
      {{0, 3}, {3}},
      {{3, 0}, {3, 1}}
    };
    for (long[][] pair : shapes) {
      long terms = Shape.of(pair[0]).size() / Math.max(1, Shape.of(pair[1]).size());
      kernelCase("sumTo " + Arrays.toString(pair[0]) + " " + Arrays.toString(pair[1]))
          .terms(terms)
          .input(Placement.CONTIGUOUS, pair[0])
          .output(Placement.CONTIGUOUS, pair[1])
          .check((kernels, a) -> kernels.sumTo(a[0], a[1]));
    }
    for (long rows : SIZES) {
      for (long columns : SIZES) {
        for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS)) {
          String size = rows + " " + columns + " " + placement;
          kernelCase("sumTo columns " + size)
              .terms(rows)
              .input(placement, rows, columns)
              .output(Placement.CONTIGUOUS, columns)
              .check((kernels, a) -> kernels.sumTo(a[0], a[1]));
          kernelCase("sumTo rows " + size)
              .terms(columns)
              .input(placement, rows, columns)
              .output(Placement.CONTIGUOUS, rows, 1)
              .check((kernels, a) -> kernels.sumTo(a[0], a[1]));
        }
      }
    }
  }

  @Test
  default void sumTo_large_sameBitsForAnyThreadCount() {
    for (long[] target : new long[][] {{96}, {1501, 1}, {1}, {}}) {
      kernelCase("sumTo large " + Arrays.toString(target))
          .tolerance(4)
          .terms(1501 * 96 / Shape.of(target).size())
          .input(Placement.CONTIGUOUS, 1501, 96)
          .output(Placement.CONTIGUOUS, target)
          .check((kernels, a) -> kernels.sumTo(a[0], a[1]));
    }
  }

  @Test
  default void sumOfSquares_manyArrays_isFormedInDoublePrecision() {
    try (MemoryScope scope = MemoryScope.open()) {
      double[] values = new double[LARGE];
      for (int i = 0; i < values.length; i++) {
        values[i] = i % 1000 == 0 ? 1000 : 0.0017 * (i % 89);
      }
      NDArray first = NDArray.of(subject(), dtype(), Shape.of(LARGE), values);
      NDArray second = NDArray.of(subject(), dtype(), Shape.of(1, 3), 1, -2, 3);
      NDArray empty = NDArray.empty(subject(), dtype(), 0);
      double expected = 14;
      for (double value : first.toDoubles()) {
        expected += value * value;
      }
      assertThat(kernels().sumOfSquares(List.of(first, empty, second)))
          .isCloseTo(expected, within(1e-10 * expected));
      assertThat(kernels().sumOfSquares(List.of())).isZero();
      NDArray sum = NDArray.full(subject(), DType.F64, Shape.of(), 7);
      kernels().sumOfSquares(List.of(first, empty, second), sum);
      assertThat(sum.item()).isEqualTo(kernels().sumOfSquares(List.of(first, empty, second)));
      kernels().sumOfSquares(List.of(empty), sum);
      assertThat(sum.item()).isZero();
    }
  }

  @Test
  default void sumOfSquares_large_sameBitsForAnyThreadCount() {
    kernelCase("sumOfSquares")
        .input(Placement.CONTIGUOUS, LARGE)
        .input(Placement.SHIFTED, 31)
        .outputStatistic(1)
        .check((kernels, a) -> a[2].writeDoubles(kernels.sumOfSquares(List.of(a[0], a[1]))));
  }

  @Test
  default void sumOfSquares_notFinite_propagates() {
    try (MemoryScope scope = MemoryScope.open()) {
      for (int position : new int[] {0, 20, 36}) {
        double[] values = new double[37];
        values[position] = Double.NEGATIVE_INFINITY;
        NDArray infinite = NDArray.of(subject(), dtype(), Shape.of(37), values);
        values[position] = Double.NaN;
        NDArray nan = NDArray.of(subject(), dtype(), Shape.of(37), values);
        assertThat(kernels().sumOfSquares(List.of(infinite))).isEqualTo(Double.POSITIVE_INFINITY);
        assertThat(kernels().sumOfSquares(List.of(infinite, nan))).isNaN();
      }
    }
  }

  @Test
  default void argmaxRows_everySize_findsTheFirstLargest() {
    for (long columns : SIZES) {
      kernelCase("argmaxRows " + columns)
          .exact()
          .input(Placement.SHIFTED, 13, columns)
          .outputLongs(13)
          .check((kernels, a) -> kernels.argmaxRows(a[0], a[1]));
    }
    double[] ties = new double[3 * 40];
    Arrays.fill(ties, Double.NEGATIVE_INFINITY);
    ties[17] = 2;
    ties[33] = 2;
    ties[40 + 39] = -1;
    kernelCase("argmaxRows ties")
        .exact()
        .input(Placement.CONTIGUOUS, Shape.of(3, 40), ties)
        .outputLongs(3)
        .check((kernels, a) -> kernels.argmaxRows(a[0], a[1]));
  }
}
