package dev.heddle.runtime.conformance;

import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The matrix products. */
interface ProductConformance extends Conformance {
  private static long[] stored(boolean transposed, long rows, long columns) {
    return transposed ? new long[] {columns, rows} : new long[] {rows, columns};
  }

  private static long[] stored(long batch, boolean transposed, long rows, long columns) {
    return transposed ? new long[] {batch, columns, rows} : new long[] {batch, rows, columns};
  }

  @Test
  default void gemm_everySizeAndTranspose_matches() {
    int number = 0;
    for (long m : SIZES) {
      for (long n : SIZES) {
        for (long k : SIZES) {
          // Every third triple, with one of the four transposes and the two placements in turn.
          number++;
          if (number % 3 != 0) {
            continue;
          }
          boolean transposeA = (number & 1) != 0;
          boolean transposeB = (number & 2) != 0;
          Placement placement = number % 5 < 2 ? Placement.PADDED_ROWS : Placement.SHIFTED;
          String name = m + "x" + n + "x" + k + " " + transposeA + " " + transposeB;
          kernelCase("gemm " + name + " " + placement)
              .terms(k)
              .input(placement, stored(transposeA, m, k))
              .input(placement, stored(transposeB, k, n))
              .output(placement, m, n)
              .check((kernels, a) -> kernels.gemm(a[0], transposeA, a[1], transposeB, 1, 0, a[2]));
        }
      }
    }
  }

  @Test
  default void gemm_allTransposesAlphaBeta_match() {
    for (boolean transposeA : List.of(false, true)) {
      for (boolean transposeB : List.of(false, true)) {
        for (double alpha : new double[] {1, -0.5, 0}) {
          for (double beta : new double[] {1, 0.25, -2}) {
            kernelCase("gemm " + transposeA + " " + transposeB + " " + alpha + " " + beta)
                .input(Placement.PADDED_ROWS, stored(transposeA, 17, 33))
                .input(Placement.PADDED_ROWS, stored(transposeB, 33, 9))
                .inOut(Placement.PADDED_ROWS, 17, 9)
                .check(
                    (kernels, a) ->
                        kernels.gemm(a[0], transposeA, a[1], transposeB, alpha, beta, a[2]));
          }
        }
      }
    }
  }

  @Test
  default void gemm_large_sameBitsForAnyThreadCount() {
    for (boolean transposeA : List.of(false, true)) {
      for (boolean transposeB : List.of(false, true)) {
        kernelCase("gemm large " + transposeA + " " + transposeB)
            .input(Placement.CONTIGUOUS, stored(transposeA, 259, 385))
            .input(Placement.CONTIGUOUS, stored(transposeB, 385, 193))
            .inOut(Placement.CONTIGUOUS, 259, 193)
            .check((kernels, a) -> kernels.gemm(a[0], transposeA, a[1], transposeB, 1, 1, a[2]));
      }
    }
    for (boolean transposeA : List.of(false, true)) {
      for (long columns : new long[] {45, 96}) {
        kernelCase("gemm deep " + transposeA + " " + columns)
            .input(Placement.PADDED_ROWS, stored(transposeA, 39, 1153))
            .input(Placement.CONTIGUOUS, 1153, columns)
            .inOut(Placement.PADDED_ROWS, 39, columns)
            .tolerance(2)
            .check((kernels, a) -> kernels.gemm(a[0], transposeA, a[1], false, 1, 1, a[2]));
      }
    }
    kernelCase("gemm tall")
        .input(Placement.CONTIGUOUS, 5000, 9)
        .input(Placement.CONTIGUOUS, 5000, 31)
        .output(Placement.CONTIGUOUS, 9, 31)
        .tolerance(4)
        .check((kernels, a) -> kernels.gemm(a[0], true, a[1], false, 1, 0, a[2]));
  }

  @Test
  default void gemm_emptySizes_scaleOrZero() {
    kernelCase("gemm no inner")
        .input(Placement.CONTIGUOUS, 3, 0)
        .input(Placement.CONTIGUOUS, 0, 4)
        .output(Placement.CONTIGUOUS, 3, 4)
        .check((kernels, a) -> kernels.gemm(a[0], false, a[1], false, 1, 0, a[2]));
    kernelCase("gemm no inner, beta")
        .input(Placement.CONTIGUOUS, 3, 0)
        .input(Placement.CONTIGUOUS, 0, 4)
        .inOut(Placement.CONTIGUOUS, 3, 4)
        .check((kernels, a) -> kernels.gemm(a[0], false, a[1], false, 1, 0.5, a[2]));
    kernelCase("gemm no rows")
        .input(Placement.CONTIGUOUS, 0, 5)
        .input(Placement.CONTIGUOUS, 5, 4)
        .output(Placement.CONTIGUOUS, 0, 4)
        .check((kernels, a) -> kernels.gemm(a[0], false, a[1], false, 1, 0, a[2]));
  }

  @Test
  default void batchedGemm_everySizeAndTranspose_matches() {
    int number = 0;
    List<Placement> placements =
        List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS, Placement.SWAPPED_LEADING);
    for (long m : new long[] {1, 7, 17, 64}) {
      for (long n : new long[] {1, 3, 31, 100}) {
        for (long k : new long[] {1, 8, 17, 65}) {
          number++;
          boolean transposeA = (number & 1) != 0;
          boolean transposeB = (number & 2) != 0;
          Placement placement = placements.get(number % 3);
          double beta = number % 5 == 0 ? 0.5 : 0;
          String name = m + "x" + n + "x" + k + " " + transposeA + " " + transposeB;
          KernelCase kernelCase =
              kernelCase("batchedGemm " + name + " " + placement)
                  .input(placement, stored(3, transposeA, m, k))
                  .input(placement, stored(3, transposeB, k, n));
          if (beta == 0) {
            kernelCase.output(placement, 3, m, n);
          } else {
            kernelCase.inOut(placement, 3, m, n);
          }
          kernelCase.check(
              (kernels, a) ->
                  kernels.batchedGemm(a[0], transposeA, a[1], transposeB, 0.7, beta, a[2]));
        }
      }
    }
  }

  /** As large as the products whose second operand is packed, in parts that no vector divides. */
  @Test
  default void gemm_largeOddParts_match() {
    for (boolean transposeA : List.of(false, true)) {
      for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS)) {
        kernelCase("gemm in odd parts " + transposeA + " " + placement)
            .input(placement, stored(transposeA, 260, 385))
            .input(placement, 385, 193)
            .output(placement, 260, 193)
            .check((kernels, a) -> kernels.gemm(a[0], transposeA, a[1], false, 1, 0, a[2]));
      }
    }
  }

  @Test
  default void batchedGemm_large_sameBitsForAnyThreadCount() {
    kernelCase("batchedGemm large")
        .input(Placement.CONTIGUOUS, 6, 130, 70)
        .input(Placement.SWAPPED_LEADING, 6, 90, 70)
        .output(Placement.SWAPPED_LEADING, 6, 130, 90)
        .check((kernels, a) -> kernels.batchedGemm(a[0], false, a[1], true, 0.5, 0, a[2]));
  }

  /** Loss scaling and overflow consensus rely on it. */
  @Test
  default void products_notFinite_propagate() {
    for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY}) {
      KernelCase gemm = kernelCase("gemm with " + bad);
      double[] a = gemm.normal(19 * 33);
      a[5 * 33 + 32] = bad;
      gemm.input(Placement.CONTIGUOUS, Shape.of(19, 33), a)
          .input(Placement.CONTIGUOUS, 33, 21)
          .output(Placement.CONTIGUOUS, 19, 21)
          .check((kernels, x) -> kernels.gemm(x[0], false, x[1], false, 1, 0, x[2]));
      KernelCase linear = kernelCase("linear with " + bad);
      linear
          .input(Placement.CONTIGUOUS, Shape.of(19, 33), a)
          .input(Placement.CONTIGUOUS, 21, 33)
          .output(Placement.CONTIGUOUS, 19, 21)
          .check(
              (kernels, x) ->
                  kernels.linear(x[0], x[1], null, UnaryOperation.IDENTITY, x[2], null));
    }
  }

  @Test
  default void batchedGemm_broadcastInputs_areUsedForEachIndex() {
    kernelCase("batchedGemm broadcast a")
        .input(Placement.BROADCAST_FIRST, 4, 9, 17)
        .input(Placement.CONTIGUOUS, 4, 17, 5)
        .output(Placement.CONTIGUOUS, 4, 9, 5)
        .check((kernels, a) -> kernels.batchedGemm(a[0], false, a[1], false, 1, 0, a[2]));
    kernelCase("batchedGemm broadcast b")
        .input(Placement.CONTIGUOUS, 4, 9, 17)
        .input(Placement.BROADCAST_FIRST, 4, 5, 17)
        .output(Placement.CONTIGUOUS, 4, 9, 5)
        .check((kernels, a) -> kernels.batchedGemm(a[0], false, a[1], true, 1, 0, a[2]));
  }

  @Test
  default void batchedGemm_noBatch_writesNothing() {
    kernelCase("batchedGemm none")
        .input(Placement.CONTIGUOUS, 0, 2, 3)
        .input(Placement.CONTIGUOUS, 0, 3, 4)
        .output(Placement.CONTIGUOUS, 0, 2, 4)
        .check((kernels, a) -> kernels.batchedGemm(a[0], false, a[1], false, 1, 0, a[2]));
  }

  @Test
  default void linearParameterGradients_matchTheProductAndTheSumOfRows() {
    for (long rows : new long[] {1, 7, 64, 300}) {
      for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.PADDED_ROWS)) {
        kernelCase("linearParameterGradients of " + rows + " rows, " + placement)
            .tolerance(Math.sqrt(rows) + 4)
            .input(placement, rows, 24)
            .input(placement, rows, 40)
            .output(Placement.CONTIGUOUS, 24, 40)
            .output(Placement.CONTIGUOUS, 24)
            .check((kernels, x) -> kernels.linearParameterGradients(x[0], x[1], x[2], x[3]));
      }
    }
  }

  /** As large as the products that are packed, cut into parts, or both. */
  @Test
  default void linearParameterGradients_large_match() {
    for (long outputs : new long[] {128, 130}) {
      kernelCase("linearParameterGradients of " + outputs + " outputs")
          .tolerance(Math.sqrt(301) + 4)
          .input(Placement.PADDED_ROWS, 301, outputs)
          .input(Placement.PADDED_ROWS, 301, 437)
          .output(Placement.CONTIGUOUS, outputs, 437)
          .output(Placement.CONTIGUOUS, outputs)
          .check((kernels, x) -> kernels.linearParameterGradients(x[0], x[1], x[2], x[3]));
    }
  }

  @Test
  default void linear_moreOutputsThanRows_matches() {
    for (UnaryOperation activation : List.of(UnaryOperation.IDENTITY, UnaryOperation.GELU)) {
      kernelCase("linear wide " + activation)
          .tolerance(4)
          .input(Placement.PADDED_ROWS, 71, 33)
          .input(Placement.CONTIGUOUS, 333, 33)
          .input(Placement.CONTIGUOUS, 333)
          .output(Placement.CONTIGUOUS, 71, 333)
          .check((kernels, a) -> kernels.linear(a[0], a[1], a[2], activation, a[3], null));
    }
  }

  @Test
  default void linear_everyActivation_matches() {
    for (UnaryOperation activation :
        List.of(
            UnaryOperation.IDENTITY,
            UnaryOperation.GELU,
            UnaryOperation.SILU,
            UnaryOperation.RELU,
            UnaryOperation.TANH,
            UnaryOperation.SIGMOID)) {
      kernelCase("linear bias " + activation)
          .input(Placement.PADDED_ROWS, 17, 33)
          .input(Placement.CONTIGUOUS, 31, 33)
          .input(Placement.CONTIGUOUS, 31)
          .output(Placement.CONTIGUOUS, 17, 31)
          .check((kernels, a) -> kernels.linear(a[0], a[1], a[2], activation, a[3], null));
      if (activation != UnaryOperation.IDENTITY) {
        kernelCase("linear bias pre-activation " + activation)
            .input(Placement.CONTIGUOUS, 17, 33)
            .input(Placement.CONTIGUOUS, 31, 33)
            .input(Placement.SHIFTED, 31)
            .output(Placement.CONTIGUOUS, 17, 31)
            .output(Placement.CONTIGUOUS, 17, 31)
            .check((kernels, a) -> kernels.linear(a[0], a[1], a[2], activation, a[3], a[4]));
        kernelCase("linear pre-activation " + activation)
            .input(Placement.CONTIGUOUS, 5, 8)
            .input(Placement.CONTIGUOUS, 3, 8)
            .output(Placement.CONTIGUOUS, 5, 3)
            .output(Placement.CONTIGUOUS, 5, 3)
            .check((kernels, a) -> kernels.linear(a[0], a[1], null, activation, a[2], a[3]));
      }
    }
  }

  @Test
  default void linear_everySize_matches() {
    for (long rows : SIZES) {
      for (long size : SIZES) {
        kernelCase("linear " + rows + " " + size)
            .terms(size + 1)
            .input(Placement.CONTIGUOUS, rows, size)
            .input(Placement.CONTIGUOUS, 257 - size + 1, size)
            .input(Placement.CONTIGUOUS, 257 - size + 1)
            .output(Placement.CONTIGUOUS, rows, 257 - size + 1)
            .check(
                (kernels, a) -> kernels.linear(a[0], a[1], a[2], UnaryOperation.GELU, a[3], null));
      }
    }
  }

  @Test
  default void linear_large_sameBitsForAnyThreadCount() {
    kernelCase("linear large")
        .input(Placement.CONTIGUOUS, 515, 96)
        .input(Placement.CONTIGUOUS, 257, 96)
        .input(Placement.CONTIGUOUS, 257)
        .output(Placement.CONTIGUOUS, 515, 257)
        .output(Placement.CONTIGUOUS, 515, 257)
        .check((kernels, a) -> kernels.linear(a[0], a[1], a[2], UnaryOperation.GELU, a[3], a[4]));
  }

  @Test
  default void linear_emptySizes_giveTheBias() {
    kernelCase("linear no rows")
        .input(Placement.CONTIGUOUS, 0, 5)
        .input(Placement.CONTIGUOUS, 4, 5)
        .input(Placement.CONTIGUOUS, 4)
        .output(Placement.CONTIGUOUS, 0, 4)
        .check(
            (kernels, a) -> kernels.linear(a[0], a[1], a[2], UnaryOperation.IDENTITY, a[3], null));
    kernelCase("linear no inner")
        .input(Placement.CONTIGUOUS, 3, 0)
        .input(Placement.CONTIGUOUS, 4, 0)
        .input(Placement.CONTIGUOUS, 4)
        .output(Placement.CONTIGUOUS, 3, 4)
        .check(
            (kernels, a) -> kernels.linear(a[0], a[1], a[2], UnaryOperation.IDENTITY, a[3], null));
  }
}
