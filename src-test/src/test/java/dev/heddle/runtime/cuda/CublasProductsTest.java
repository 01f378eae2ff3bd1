package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What {@link CublasProducts} computes, on the simulated cuBLAS, against the CPU reference. */
class CublasProductsTest {
  private static final long SEED = Long.getLong("heddle.seed", 20261126);

  private static double tolerance(DType dtype) {
    return switch (dtype) {
      case F64 -> 1e-13;
      case F32 -> 1e-5;
      default -> 0x1p-6;
    };
  }

  /** Random values, the same on each device. */
  private static NDArray random(Device device, DType dtype, long seed, long... dims) {
    Random random = new Random(seed);
    NDArray array = NDArray.empty(device, dtype, dims);
    array.writeDoubles(random.doubles(array.size(), -1, 1).toArray());
    return array;
  }

  /** A matrix or a batch of them, cut out of something larger, in one of the ways that occur. */
  private static NDArray operand(
      Device device, DType dtype, Random choices, long seed, long batch, long rows, long columns) {
    int kind = choices.nextInt(4);
    if (batch == 0) {
      return switch (kind) {
        case 0 -> random(device, dtype, seed, rows, columns);
        case 1 -> random(device, dtype, seed, rows + 3, columns).slice(0, 2, 2 + rows);
        case 2 -> random(device, dtype, seed, rows, columns + 7).slice(1, 3, 3 + columns);
        // One of several parts that a packed projection makes side by side.
        default -> random(device, dtype, seed, rows, 3 * columns).slice(1, columns, 2 * columns);
      };
    }
    return switch (kind) {
      case 0 -> random(device, dtype, seed, batch, rows, columns);
      case 1 ->
          random(device, dtype, seed, batch + 1, rows + 2, columns)
              .slice(0, 1, batch + 1)
              .slice(1, 1, rows + 1);
      case 2 -> random(device, dtype, seed, rows, batch, columns).transpose(0, 1);
      default ->
          random(device, dtype, seed, 1, rows, columns).expand(Shape.of(batch, rows, columns));
    };
  }

  private static void assertClose(String what, NDArray got, NDArray wanted) {
    double[] a = got.toDoubles();
    double[] b = wanted.toDoubles();
    double square = 0;
    for (double x : b) {
      square += x * x / b.length;
    }
    double scale = Math.sqrt(square);
    for (int i = 0; i < b.length; i++) {
      assertThat(a[i])
          .as("%s element %d (replay with -Dheddle.seed=%d)", what, i, SEED)
          .isCloseTo(b[i], within(tolerance(got.dtype()) * (Math.abs(b[i]) + scale)));
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F64"})
  void products_randomShapesAndViews_areThoseOfTheReference(DType dtype) {
    Random random = new Random(SEED);
    try (ProductsRig rig = new ProductsRig("rig");
        CpuDevice cpu = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE)) {
      for (int trial = 0; trial < 200; trial++) {
        long batch = random.nextInt(5);
        long m = 1 + random.nextInt(40);
        long n = 1 + random.nextInt(40);
        long k = 1 + random.nextInt(40);
        boolean transposeA = random.nextBoolean();
        boolean transposeB = random.nextBoolean();
        double alpha = random.nextInt(3) == 0 ? 1 : random.nextDouble() - 0.5;
        double beta = random.nextInt(3) == 0 ? 0 : random.nextDouble() - 0.5;
        long seed = random.nextLong();
        String what =
            "trial %d: batch %d, %dx%dx%d, %s %s, alpha %s, beta %s"
                .formatted(trial, batch, m, n, k, transposeA, transposeB, alpha, beta);
        try (MemoryScope scope = MemoryScope.open()) {
          NDArray[] results = new NDArray[2];
          Device[] devices = {rig, cpu};
          for (int i = 0; i < 2; i++) {
            Random views = new Random(seed);
            NDArray a =
                operand(
                    devices[i], dtype, views, seed, batch, transposeA ? k : m, transposeA ? m : k);
            NDArray b =
                operand(
                    devices[i],
                    dtype,
                    views,
                    seed + 1,
                    batch,
                    transposeB ? n : k,
                    transposeB ? k : n);
            NDArray c =
                batch == 0
                    ? random(devices[i], dtype, seed + 2, m, n + 5).slice(1, 2, 2 + n)
                    : random(devices[i], dtype, seed + 2, m, batch, n + 1)
                        .slice(2, 0, n)
                        .transpose(0, 1);
            if (batch == 0) {
              devices[i].kernels(dtype).gemm(a, transposeA, b, transposeB, alpha, beta, c);
            } else {
              devices[i].kernels(dtype).batchedGemm(a, transposeA, b, transposeB, alpha, beta, c);
            }
            results[i] = c;
          }
          assertClose(what, results[0], results[1]);
        }
      }
      assertThat(rig.simulation().refusals()).isEmpty();
      assertThat(rig.simulation().productsWithoutWorkspace()).isZero();
    }
  }

  @Test
  void gemm_tf32_roundsItsInputsAndNothingElse() {
    try (ProductsRig rig = new ProductsRig("rig", true, false);
        MemoryScope scope = MemoryScope.open()) {
      NDArray a = NDArray.of(rig, DType.F32, Shape.of(1, 1), 1 + 0x1p-9 + 0x1p-12);
      NDArray b = NDArray.of(rig, DType.F32, Shape.of(1, 1), 1);
      NDArray c = rig.array(DType.F32, 1, 1);
      rig.kernels(DType.F32).gemm(a, false, b, false, 1, 0, c);
      assertThat(c.item()).isEqualTo(1 + 0x1p-9);

      NDArray wide = a.cast(DType.F64);
      NDArray other = b.cast(DType.F64);
      NDArray exact = rig.array(DType.F64, 1, 1);
      rig.kernels(DType.F64).gemm(wide, false, other, false, 1, 0, exact);
      assertThat(exact.item()).isEqualTo(1 + 0x1p-9 + 0x1p-12);
    }
  }

  /** alpha and beta lie in memory that the next call overwrites; the stream is lazy. */
  @Test
  void gemm_scalarsOfQueuedProducts_areTheirOwn() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      NDArray one = NDArray.of(rig, DType.F32, Shape.of(1, 1), 1);
      NDArray first = rig.array(DType.F32, 1, 1);
      NDArray second = rig.array(DType.F32, 1, 1);
      rig.kernels(DType.F32).gemm(one, false, one, false, 3, 0, first);
      rig.kernels(DType.F32).gemm(one, false, one, false, 5, 0, second);
      assertThat(rig.queued(0)).isEqualTo(2);
      assertThat(first.item()).isEqualTo(3);
      assertThat(second.item()).isEqualTo(5);
    }
  }

  private static void linearOnBoth(
      ProductsRig rig, DType dtype, UnaryOperation activation, boolean biased, boolean keeps) {
    try (CpuDevice cpu = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      NDArray[][] results = new NDArray[2][2];
      Device[] devices = {rig, cpu};
      for (int i = 0; i < 2; i++) {
        NDArray x = random(devices[i], dtype, 1, 21, 80);
        NDArray w = random(devices[i], dtype, 2, 24, 80);
        NDArray bias = biased ? random(devices[i], dtype, 3, 24) : null;
        NDArray y = random(devices[i], dtype, 4, 21, 24);
        NDArray z = keeps ? random(devices[i], dtype, 5, 21, 24) : null;
        devices[i].kernels(dtype).linear(x, w, bias, activation, y, z);
        results[i][0] = y;
        results[i][1] = keeps ? z : y;
      }
      String what = activation + (biased ? " biased" : "") + (keeps ? " pre-activation" : "");
      assertClose(what, results[0][0], results[1][0]);
      assertClose(what, results[0][1], results[1][1]);
    }
  }

  @Test
  void linear_activationEpilogues_areOneCallAndWithinTheTolerance() {
    try (ProductsRig rig = new ProductsRig("rig", false, true)) {
      int products = 0;
      for (boolean biased : new boolean[] {false, true}) {
        linearOnBoth(rig, DType.F32, UnaryOperation.RELU, biased, false);
        linearOnBoth(rig, DType.BF16, UnaryOperation.RELU, biased, false);
        linearOnBoth(rig, DType.BF16, UnaryOperation.GELU, biased, false);
        linearOnBoth(rig, DType.BF16, UnaryOperation.GELU, biased, true);
        products += 4;
      }
      assertThat(rig.simulation().calls("cublasLtMatmul")).isEqualTo(products);
      assertThat(rig.simulation().calls("cublasGemmEx_64")).isZero();
      // Those that an epilogue cannot do as they are defined.
      linearOnBoth(rig, DType.F32, UnaryOperation.GELU, true, true);
      linearOnBoth(rig, DType.F32, UnaryOperation.RELU, true, true);
      linearOnBoth(rig, DType.BF16, UnaryOperation.SILU, true, false);
      linearOnBoth(rig, DType.F64, UnaryOperation.RELU, true, false);
      assertThat(rig.simulation().refusals()).isEmpty();
    }
  }

  /**
   * Its largest difference from the exact function; that of F32 is the reason for an own kernel.
   */
  @Test
  void geluEpilogue_differsFromTheExactFunctionByMoreThanF32Allows() {
    try (ProductsRig rig = new ProductsRig("rig", false, true);
        MemoryScope scope = MemoryScope.open()) {
      double[] values = new double[121];
      for (int i = 0; i < values.length; i++) {
        values[i] = (i - 60) / 16.0;
      }
      NDArray x = NDArray.of(rig, DType.BF16, Shape.of(121, 1), values);
      NDArray w = NDArray.of(rig, DType.BF16, Shape.of(1, 1), 1);
      NDArray approximate = rig.array(DType.BF16, 121, 1);
      NDArray exact = rig.array(DType.BF16, 121, 1);
      rig.kernels(DType.BF16).linear(x, w, null, UnaryOperation.GELU, approximate, null);
      rig.kernels(DType.BF16).unary(UnaryOperation.GELU, x, exact);
      double worst = 0;
      for (int i = 0; i < values.length; i++) {
        worst = Math.max(worst, Math.abs(approximate.toDoubles()[i] - exact.toDoubles()[i]));
      }
      assertThat(worst).isBetween(1e-4, 0x1p-6);
    }
  }

  @Test
  void linear_withoutOptions_leavesActivationsToTheKernels() {
    try (ProductsRig rig = new ProductsRig("rig")) {
      for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
        for (UnaryOperation activation :
            new UnaryOperation[] {UnaryOperation.GELU, UnaryOperation.RELU}) {
          linearOnBoth(rig, dtype, activation, true, true);
          linearOnBoth(rig, dtype, activation, true, false);
        }
      }
      assertThat(rig.simulation().calls("cublasLtMatmul")).isEqualTo(8);
    }
  }

  @Test
  void linear_formThatTheLibraryRefuses_isComputedWithoutItAndRemembered() {
    try (ProductsRig rig = new ProductsRig("rig", false, true)) {
      rig.simulation().refuseEpilogue(Cublas.CUBLASLT_EPILOGUE_BIAS());
      rig.simulation().refuseEpilogue(Cublas.CUBLASLT_EPILOGUE_RELU_BIAS());
      linearOnBoth(rig, DType.F32, UnaryOperation.RELU, true, false);
      linearOnBoth(rig, DType.F32, UnaryOperation.GELU, true, true);
      int asked = rig.simulation().calls("cublasLtMatmulAlgoGetHeuristic");
      linearOnBoth(rig, DType.F32, UnaryOperation.GELU, true, true);
      assertThat(rig.simulation().calls("cublasLtMatmulAlgoGetHeuristic")).isEqualTo(asked);
      assertThat(rig.simulation().calls("cublasLtMatmul")).isZero();
      assertThat(rig.simulation().calls("cublasGemmEx_64")).isEqualTo(3);
    }
  }

  /** An auxiliary matrix must have a leading dimension divisible by 8: here it is 3. */
  @Test
  void linear_auxiliaryThatTheLibraryCannotWrite_isComputedWithoutIt() {
    try (ProductsRig rig = new ProductsRig("rig", false, true);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = random(rig, DType.BF16, 1, 5, 16);
      NDArray w = random(rig, DType.BF16, 2, 3, 16);
      NDArray bias = random(rig, DType.BF16, 3, 3);
      NDArray y = rig.array(DType.BF16, 5, 3);
      NDArray z = rig.array(DType.BF16, 5, 3);
      rig.kernels(DType.BF16).linear(x, w, bias, UnaryOperation.GELU, y, z);
      rig.synchronize();
      assertThat(rig.simulation().refusals()).isEmpty();
      NDArray gelu = rig.array(DType.BF16, 5, 3);
      rig.kernels(DType.BF16).unary(UnaryOperation.GELU, z, gelu);
      assertThat(y.toDoubles()).containsExactly(gelu.toDoubles());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F64"})
  void linearParameterGradients_areTheProductAndTheSumOfRows(DType dtype) {
    try (ProductsRig rig = new ProductsRig("rig");
        CpuDevice cpu = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      for (long rows : new long[] {1, 17, 130}) {
        NDArray dz = random(rig, dtype, rows, rows, 24);
        NDArray x = random(rig, dtype, rows + 1, rows, 33 + 4).slice(1, 2, 35);
        NDArray dw = random(rig, dtype, 5, 24, 33);
        NDArray db = random(rig, dtype, 6, 24);
        rig.products(dtype).linearParameterGradients(dz, x, dw, db);

        NDArray dzThere = random(cpu, dtype, rows, rows, 24);
        NDArray xThere = random(cpu, dtype, rows + 1, rows, 33 + 4).slice(1, 2, 35);
        NDArray dwThere = NDArray.empty(cpu, dtype, 24, 33);
        NDArray dbThere = NDArray.empty(cpu, dtype, 24);
        cpu.kernels(dtype).gemm(dzThere, true, xThere, false, 1, 0, dwThere);
        cpu.kernels(dtype).sumTo(dzThere, dbThere);
        assertClose("dw", dw, dwThere);
        assertClose("db", db, dbThere);
      }
      assertThat(rig.simulation().calls("cublasLtMatmul")).isEqualTo(dtype == DType.F64 ? 0 : 3);
      assertThat(rig.simulation().refusals()).isEmpty();
    }
  }

  @Test
  void linearParameterGradients_refusedEpilogue_isTwoKernels() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      rig.simulation().refuseEpilogue(Cublas.CUBLASLT_EPILOGUE_BGRADB());
      NDArray dz = NDArray.of(rig, DType.F32, Shape.of(2, 2), 1, 2, 3, 4);
      NDArray x = NDArray.of(rig, DType.F32, Shape.of(2, 1), 10, 100);
      NDArray dw = rig.array(DType.F32, 2, 1);
      NDArray db = rig.array(DType.F32, 2);
      rig.products(DType.F32).linearParameterGradients(dz, x, dw, db);
      assertThat(dw.toDoubles()).containsExactly(310, 420);
      assertThat(db.toDoubles()).containsExactly(4, 6);
    }
  }

  @Test
  void linearParameterGradients_noRows_areZero() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      NDArray dz = rig.array(DType.F32, 0, 3);
      NDArray x = rig.array(DType.F32, 0, 2);
      NDArray dw = rig.array(DType.F32, 3, 2);
      NDArray db = rig.array(DType.F32, 3);
      rig.products(DType.F32).linearParameterGradients(dz, x, dw, db);
      assertThat(dw.toDoubles()).containsOnly(0);
      assertThat(db.toDoubles()).containsOnly(0);
    }
  }
}
