package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.ExactProducts.exact;
import static dev.heddle.runtime.cpu.ExactProducts.matrix;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Products by machine code against the same products in F64, and what lies around their result. */
class MachineMultiplyTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);
  private static final double UNTOUCHED = 7;

  @BeforeEach
  void onlyWhereItRuns() {
    assumeTrue(CpuBackend.hasMachineCode(), "this is not Linux on a processor with AVX-512");
  }

  private static CpuDevice open(int threads) {
    return CpuDevice.open("cpu:machine", threads, CpuBackend.BEST);
  }

  private static void check(NDArray c, double[] wanted, long depth) {
    double[] got = c.toDoubles();
    double rounding = c.dtype() == DType.BF16 ? 0x1p-8 : 0;
    for (int i = 0; i < wanted.length; i++) {
      double allowed = 1e-6 * depth + rounding * Math.abs(wanted[i]);
      assertThat(got[i]).as("element %s of %s", i, c.shape()).isCloseTo(wanted[i], within(allowed));
    }
  }

  // bf16 operands with an F32 result are RoundedProductsTest's.
  private static final List<DType> TYPES = List.of(DType.F32, DType.BF16);

  @Test
  void randomShapes_allTransposes_writeTheirResultAndNothingBesides() {
    System.out.println("MachineMultiplyTest: -Dheddle.seed=" + SEED);
    Random random = new Random(SEED);
    for (int round = 0; round < 60; round++) {
      long m = 16 + random.nextInt(round % 4 < 2 ? 300 : 40);
      long n = 1 + random.nextInt(round % 3 == 0 ? 200 : 60);
      long k = 1 + random.nextInt(round % 5 == 0 ? 4600 : 90);
      boolean ta = random.nextBoolean();
      boolean tb = random.nextBoolean();
      DType dtype = TYPES.get(round % 2);
      RandomKey key = RandomKey.of(SEED, "products").with(round);
      try (CpuDevice device = open(1 + round % 3);
          MemoryScope scope = MemoryScope.open()) {
        long gap = random.nextInt(3);
        NDArray a = matrix(device, dtype, key.with(1), ta ? k : m, ta ? m : k, 2 * gap);
        NDArray b = matrix(device, dtype, key.with(2), tb ? n : k, tb ? k : n, gap);
        NDArray around = NDArray.empty(device, dtype, m + 2, n + 5);
        around.kernels().fill(around, UNTOUCHED);
        NDArray c = around.slice(0, 1, m + 1).slice(1, 2, n + 2);
        device.kernels(dtype).gemm(a, ta, b, tb, 1, 0, c);

        check(c.contiguous(), exact(a, ta, b, tb, m, n), k);
        c.kernels().fill(c, UNTOUCHED);
        assertThat(around.toDoubles()).as("round %s", round).containsOnly(UNTOUCHED);
      }
    }
  }

  @Test
  void largeB_whoseBlocksAreShorter_isMultipliedAsAnyOther() {
    for (DType dtype : TYPES) {
      try (CpuDevice device = open(2);
          MemoryScope scope = MemoryScope.open()) {
        long k = dtype == DType.F32 ? 1501 : 3003;
        RandomKey key = RandomKey.of(SEED, "large b");
        NDArray a = matrix(device, dtype, key.with(1), 17, k, 0);
        NDArray b = matrix(device, dtype, key.with(2), k, 1400, 0);
        NDArray c = NDArray.empty(device, dtype, 17, 1400);
        device.kernels(dtype).gemm(a, false, b, false, 1, 0, c);
        check(c, exact(a, false, b, false, 17, 1400), k);
      }
    }
  }

  @Test
  void sumsOfSeveralBlocks_areTheSameForAnyThreads_andRoundedOnce() {
    for (DType dtype : TYPES) {
      double[] first = {};
      for (int threads = 1; threads <= 3; threads++) {
        try (CpuDevice device = open(threads);
            MemoryScope scope = MemoryScope.open()) {
          RandomKey key = RandomKey.of(SEED, "several blocks");
          NDArray a = matrix(device, dtype, key.with(1), 4099, 70, 0);
          NDArray b = matrix(device, dtype, key.with(2), 4099, 100, 0);
          NDArray c = NDArray.empty(device, dtype, 70, 100);
          device.kernels(dtype).gemm(a, true, b, false, 1, 0, c);
          check(c, exact(a, true, b, false, 70, 100), 4099);
          if (threads == 1) {
            first = c.toDoubles();
          }
          assertThat(c.toDoubles()).containsExactly(first);
        }
      }
    }
  }

  @Test
  void parameterGradients_addColumnsWhileTheyArePacked_theSameForAnyThreads() {
    assumeTrue(TileKernels.multiplyBf16(), "this processor has no bf16 instructions");
    // Odd and even depths of one block and of several, whole panels and what is left of one.
    for (long[] size : new long[][] {{4099, 70, 100}, {9001, 32, 50}, {1, 47, 5}, {386, 300, 9}}) {
      double[] sums = {};
      double[] products = {};
      for (int threads = 1; threads <= 3; threads++) {
        try (CpuDevice device = open(threads);
            MemoryScope scope = MemoryScope.open()) {
          RandomKey key = RandomKey.of(SEED, "parameter gradients");
          NDArray dz = matrix(device, DType.BF16, key.with(1), size[0], size[1], 3);
          NDArray x = matrix(device, DType.BF16, key.with(2), size[0], size[2], 1);
          NDArray dw = NDArray.empty(device, DType.BF16, size[1], size[2]);
          NDArray db = NDArray.empty(device, DType.BF16, size[1]);
          device.kernels(DType.BF16).linearParameterGradients(dz, x, dw, db);

          NDArray ones = NDArray.empty(device, DType.BF16, size[0], 1);
          ones.kernels().fill(ones, 1);
          check(dw, exact(dz, true, x, false, size[1], size[2]), size[0]);
          check(db, exact(dz, true, ones, false, size[1], 1), size[0]);
          if (threads == 1) {
            sums = db.toDoubles();
            products = dw.toDoubles();
          }
          assertThat(db.toDoubles()).containsExactly(sums);
          assertThat(dw.toDoubles()).containsExactly(products);
        }
      }
    }
  }

  @Test
  void alphaAndBeta_scaleAndAdd() {
    try (CpuDevice device = open(2);
        MemoryScope scope = MemoryScope.open()) {
      RandomKey key = RandomKey.of(SEED, "alpha and beta");
      NDArray a = matrix(device, DType.F32, key.with(1), 50, 1100, 1);
      NDArray b = matrix(device, DType.F32, key.with(2), 1100, 61, 3);
      for (double beta : new double[] {1, -0.5}) {
        NDArray c = matrix(device, DType.F32, key.with(3), 50, 61, 0).contiguous();
        double[] before = c.toDoubles();
        double[] wanted = exact(a, false, b, false, 50, 61);
        for (int i = 0; i < wanted.length; i++) {
          wanted[i] = 2 * wanted[i] + beta * before[i];
        }
        device.kernels(DType.F32).gemm(a, false, b, false, 2, beta, c);
        check(c, wanted, 1100);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16"})
  void linear_addsItsBiasAndActivates(DType dtype) {
    try (CpuDevice device = open(2);
        MemoryScope scope = MemoryScope.open()) {
      RandomKey key = RandomKey.of(SEED, "linear");
      NDArray x = matrix(device, dtype, key.with(1), 133, 90, 0);
      NDArray w = matrix(device, dtype, key.with(2), 77, 90, 0);
      NDArray bias = matrix(device, dtype, key.with(3), 1, 77, 0).reshape(77);
      NDArray y = NDArray.empty(device, dtype, 133, 77);
      NDArray sums = NDArray.empty(device, dtype, 133, 77);
      device.kernels(dtype).linear(x, w, bias, UnaryOperation.RELU, y, sums);
      double[] wanted = exact(x, false, w, true, 133, 77);
      double[] biases = bias.toDoubles();
      for (int i = 0; i < wanted.length; i++) {
        wanted[i] += biases[i % 77];
      }
      check(sums, wanted, 90);
      for (int i = 0; i < wanted.length; i++) {
        wanted[i] = Math.max(0, wanted[i]);
      }
      check(y, wanted, 90);
    }
  }

  @Test
  void batches_areLikeTheirProducts() {
    for (DType dtype : TYPES) {
      // Few large products are computed one by one, many small ones side by side.
      for (long[] size : new long[][] {{5, 33, 65, 21}, {2, 130, 140, 200}}) {
        long m = size[1];
        long n = size[2];
        long k = size[3];
        try (CpuDevice device = open(3);
            MemoryScope scope = MemoryScope.open()) {
          RandomKey key = RandomKey.of(SEED, "batches");
          NDArray a = matrix(device, dtype, key.with(1), size[0] * k, m, 0);
          NDArray b = matrix(device, dtype, key.with(2), size[0] * k, n, 0);
          NDArray c = NDArray.empty(device, dtype, size[0], m, n);
          Kernels kernels = device.kernels(dtype);
          kernels.batchedGemm(
              a.reshape(size[0], k, m), true, b.reshape(size[0], k, n), false, 1, 0, c);
          for (long i = 0; i < size[0]; i++) {
            double[] wanted =
                exact(
                    a.slice(0, i * k, (i + 1) * k),
                    true,
                    b.slice(0, i * k, (i + 1) * k),
                    false,
                    m,
                    n);
            check(c.slice(0, i, i + 1).reshape(m, n), wanted, k);
          }
        }
      }
    }
  }

  @Test
  void notANumber_staysInItsRow() {
    for (DType dtype : TYPES) {
      try (CpuDevice device = open(1);
          MemoryScope scope = MemoryScope.open()) {
        RandomKey key = RandomKey.of(SEED, "not a number");
        NDArray a = matrix(device, dtype, key.with(1), 40, 31, 0);
        NDArray b = matrix(device, dtype, key.with(2), 50, 31, 0);
        a.kernels().fill(a.slice(0, 19, 20).slice(1, 30, 31), Double.NaN);
        NDArray c = NDArray.empty(device, dtype, 40, 50);
        device.kernels(dtype).gemm(a, false, b, true, 1, 0, c);
        double[] got = c.toDoubles();
        for (int i = 0; i < got.length; i++) {
          assertThat(Double.isNaN(got[i])).as("element %s", i).isEqualTo(i / 50 == 19);
        }
      }
    }
  }
}
