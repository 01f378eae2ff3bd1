package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.ExactProducts.exact;
import static dev.heddle.runtime.cpu.ExactProducts.matrix;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Products in Java against the same products in F64, and what lies around their result. */
class PackedMultiplyTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);
  private static final double UNTOUCHED = 7;

  private static CpuDevice open(int threads) {
    return CpuDevice.open("cpu:packed", threads, CpuBackend.VECTOR);
  }

  @Test
  void randomShapes_allTransposes_writeTheirResultAndNothingBesides() {
    System.out.println("PackedMultiplyTest: -Dheddle.seed=" + SEED);
    Random random = new Random(SEED);
    for (int round = 0; round < 80; round++) {
      long m = 1 + random.nextInt(round % 4 < 2 ? 300 : 20);
      long n = 1 + random.nextInt(round % 3 == 0 ? 200 : 70);
      // More than one block of rows and of columns.
      if (round % 27 < 4 && round > 4) {
        m = 513 + random.nextInt(40);
        n = 513 + random.nextInt(40);
      }
      long k = 1 + random.nextInt(round % 5 == 0 ? 1100 : 90);
      boolean ta = (round & 1) != 0;
      boolean tb = (round & 2) != 0;
      double beta = round % 7 == 0 ? -0.5 : round % 7 == 1 ? 1 : 0;
      RandomKey key = RandomKey.of(SEED, "products").with(round);
      try (CpuDevice device = open(1 + round % 3);
          MemoryScope scope = MemoryScope.open()) {
        long gap = random.nextInt(3);
        NDArray a = matrix(device, DType.F32, key.with(1), ta ? k : m, ta ? m : k, 2 * gap);
        NDArray b = matrix(device, DType.F32, key.with(2), tb ? n : k, tb ? k : n, gap);
        NDArray around = NDArray.empty(device, DType.F32, m + 2, n + 5);
        around.kernels().fill(around, UNTOUCHED);
        NDArray c = around.slice(0, 1, m + 1).slice(1, 2, n + 2);
        c.kernels().gemm(a, ta, b, tb, 1, beta, c);

        double[] got = c.toDoubles();
        double[] wanted = exact(a, ta, b, tb, m, n);
        for (int i = 0; i < wanted.length; i++) {
          assertThat(got[i])
              .as("round %s: element %s of %s", round, i, c.shape())
              .isCloseTo(wanted[i] + beta * UNTOUCHED, within(1e-6 * (k + 10)));
        }
        c.kernels().fill(c, UNTOUCHED);
        assertThat(around.toDoubles()).as("round %s", round).containsOnly(UNTOUCHED);
      }
    }
  }

  /** One row of op(a), and no other row of c, has what is not a number in it. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void notANumber_staysInItsRow(boolean transposeA) {
    int m = 23;
    int n = 37;
    int k = 41;
    try (CpuDevice device = open(1);
        MemoryScope scope = MemoryScope.open()) {
      for (int row = 0; row < m; row++) {
        float[] values = new float[m * k];
        Arrays.fill(values, 1);
        for (int i = 0; i < k; i++) {
          int at = transposeA ? i * m + row : row * k + i;
          values[at] = i == 3 ? Float.NaN : Float.POSITIVE_INFINITY;
        }
        NDArray a = NDArray.of(device, transposeA ? Shape.of(k, m) : Shape.of(m, k), values);
        NDArray b = NDArray.empty(device, DType.F32, k, n);
        b.kernels().fill(b, 1);
        NDArray c = NDArray.empty(device, DType.F32, m, n);
        c.kernels().gemm(a, transposeA, b, false, 1, 0, c);
        float[] got = c.toFloats();
        float[] wanted = new float[m * n];
        Arrays.fill(wanted, k);
        Arrays.fill(wanted, row * n, row * n + n, Float.NaN);
        assertThat(got).containsExactly(wanted);
      }
    }
  }
}
