package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/**
 * GELU by machine code, and its gradient, against double precision: of all 65,536 bf16 values the
 * nearest result that there is, or the next one; of F32 a dense row of values, within a bound.
 */
class MachineGeluTest {
  private static final long SEED = Long.getLong("heddle.seed", 20_261_126);
  private static final int ALL = 1 << 16;
  private static final double INVERSE_SQRT_2 = Math.sqrt(0.5);

  /** Below it Φ is subnormal in F32, or nearly so, and results are 0. */
  private static final double LOWEST = -12.8125;

  @BeforeEach
  void onlyWhereItRuns() {
    assumeTrue(CpuBackend.hasMachineCode(), "this is not Linux on a processor with AVX-512");
  }

  private static double distribution(double x) {
    return 0.5 * ErrorFunction.erfc(-x * INVERSE_SQRT_2);
  }

  private static double gelu(double x) {
    return x * distribution(x);
  }

  private static double derivative(double x) {
    return distribution(x) + x * Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);
  }

  private static double[] all() {
    double[] values = new double[ALL];
    for (int i = 0; i < ALL; i++) {
      values[i] = DType.bf16ToFloat((short) i);
    }
    return values;
  }

  private static double[] forward(CpuBackend backend, DType dtype, double... values) {
    try (CpuDevice device = CpuDevice.open("cpu:gelu", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, dtype, Shape.of(values.length), values);
      NDArray y = NDArray.full(device, dtype, x.shape(), 3);
      x.kernels().unary(UnaryOperation.GELU, x, y);
      return y.toDoubles();
    }
  }

  private static double[] backward(
      CpuBackend backend, DType dtype, double[] values, double[] gradients) {
    try (CpuDevice device = CpuDevice.open("cpu:gelu", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, dtype, Shape.of(values.length), values);
      NDArray dy = NDArray.of(device, dtype, x.shape(), gradients);
      NDArray dx = NDArray.full(device, dtype, x.shape(), 3);
      x.kernels().unaryBackward(UnaryOperation.GELU, x, dy, dx);
      return dx.toDoubles();
    }
  }

  private static double[] forward(double... values) {
    return forward(CpuBackend.BEST, DType.BF16, values);
  }

  private static double[] backward(double[] values, double[] gradients) {
    return backward(CpuBackend.BEST, DType.BF16, values, gradients);
  }

  /** The number of a bf16 value in their order, 0 for both zeros. */
  private static int order(double value) {
    int bits = DType.floatToBf16((float) value);
    int magnitude = bits & 0x7fff;
    return bits < 0 ? -magnitude : magnitude;
  }

  /**
   * Compares results with the rounded true ones.
   *
   * @param mostWrong how many may be off by one, of all
   */
  private static void assertNearest(
      double[] x, double[] factors, double[] results, DoubleUnaryOperator truth, int mostWrong) {
    int compared = 0;
    int wrong = 0;
    for (int i = 0; i < x.length; i++) {
      if (Double.isNaN(x[i])) {
        assertThat(results[i]).as("at %s", x[i]).isNaN();
      } else if (x[i] < LOWEST) {
        assertThat(results[i]).as("at %s", x[i]).isZero();
      } else if (Double.isFinite(x[i])) {
        double wanted = truth.applyAsDouble(x[i]) * factors[i];
        int distance = Math.abs(order(results[i]) - order(wanted));
        assertThat(distance).as("at %s: %s, not %s", x[i], results[i], wanted).isLessThan(2);
        double nearest = DType.bf16ToFloat(DType.floatToBf16((float) wanted));
        wrong += Math.abs(results[i] - wanted) > Math.abs(nearest - wanted) ? 1 : 0;
        compared++;
      }
    }
    assertThat(compared).isGreaterThan(49_000);
    assertThat(wrong).isLessThanOrEqualTo(mostWrong);
  }

  private static double[] ones(int size) {
    double[] ones = new double[size];
    Arrays.fill(ones, 1);
    return ones;
  }

  @Test
  void forward_everyValue_isTheNearestOrTheNext() {
    double[] x = all();
    assertNearest(x, ones(ALL), forward(x), MachineGeluTest::gelu, 10);
  }

  @Test
  void backward_everyValue_isTheNearestOrTheNext() {
    double[] x = all();
    assertNearest(x, ones(ALL), backward(x, ones(ALL)), MachineGeluTest::derivative, 10);
  }

  @Test
  void backward_timesAnyGradient_isTheNearestOrTheNext() {
    double[] x = all();
    double[] gradients = new double[ALL];
    Random random = new Random(SEED);
    for (int i = 0; i < ALL; i++) {
      double normal = random.nextGaussian() * Math.scalb(1, random.nextInt(-20, 20));
      gradients[i] = DType.bf16ToFloat(DType.floatToBf16((float) normal));
    }
    assertNearest(x, gradients, backward(x, gradients), MachineGeluTest::derivative, 20);
  }

  private static final DType[] TYPES = {DType.BF16, DType.F32};

  @Test
  void limits_areReached() {
    double infinity = Double.POSITIVE_INFINITY;
    double most = DType.bf16ToFloat((short) 0x7f7f);
    double[] x = {infinity, most, 20, -20, -most, -infinity};
    double[] gradients = {3, 3, 3, 3, 3, 3};
    for (DType dtype : TYPES) {
      assertThat(forward(CpuBackend.BEST, dtype, x))
          .usingComparatorWithPrecision(0.0)
          .containsExactly(infinity, most, 20, 0, 0, 0);
      assertThat(forward(CpuBackend.BEST, dtype, 0.0, -0.0)).containsExactly(0.0, -0.0);
      assertThat(backward(CpuBackend.BEST, dtype, x, gradients))
          .containsExactly(3.0, 3.0, 3.0, -0.0, -0.0, -0.0);
    }
  }

  @Test
  void whatIsNotFinite_shows() {
    double infinity = Double.POSITIVE_INFINITY;
    double[] x = {1, -0.5, -2, -20, Double.NaN};
    double[] gradients = {Double.NaN, infinity, infinity, 5, 1};
    for (DType dtype : TYPES) {
      assertThat(forward(CpuBackend.BEST, dtype, Double.NaN)).containsExactly(Double.NaN);
      assertThat(backward(CpuBackend.BEST, dtype, x, gradients))
          .containsExactly(Double.NaN, infinity, -infinity, -0.0, Double.NaN);
    }
  }

  /** From the lowest place where Φ is a normal number; and below, where there are few. */
  private static double[] row() {
    double[] values = new double[1 << 20];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (-12.86 + i * (26.0 / values.length));
    }
    for (int i = 0; i < 1 << 15; i++) {
      values[i * 32] = (float) Math.scalb(i % 2 == 0 ? 1.3 : -1.3, -(i % 148));
    }
    return values;
  }

  /**
   * The greatest error relative to the true value.
   *
   * @param noise an error that counts nothing, where the true value is 0
   */
  private static double worst(
      double[] x, double[] results, DoubleUnaryOperator truth, double noise) {
    double worst = 0;
    for (int i = 0; i < x.length; i++) {
      double wanted = truth.applyAsDouble(x[i]);
      double error = Math.abs(results[i] - wanted) - noise;
      worst = Math.max(worst, error / Math.abs(wanted));
    }
    return worst;
  }

  @Test
  void f32Forward_isNearerThanJava() {
    double[] x = row();
    double smallest = 0x1p-149;
    double[] machine = forward(CpuBackend.BEST, DType.F32, x);
    double[] java = forward(CpuBackend.VECTOR, DType.F32, x);
    assertThat(worst(x, machine, MachineGeluTest::gelu, smallest))
        .isLessThan(1.3e-6)
        .isLessThan(worst(x, java, MachineGeluTest::gelu, smallest));
  }

  @Test
  void f32Backward_isNearerThanJava() {
    double[] x = row();
    double[] ones = ones(x.length);
    // What the zero is off, rounded, times the slope there.
    double noise = 0x1p-25 * 0.43;
    double[] machine = backward(CpuBackend.BEST, DType.F32, x, ones);
    double[] java = backward(CpuBackend.VECTOR, DType.F32, x, ones);
    assertThat(worst(x, machine, MachineGeluTest::derivative, noise))
        .isLessThan(1.3e-6)
        .isLessThan(worst(x, java, MachineGeluTest::derivative, noise));
  }

  /** Pairs of vectors, the vectors that are left, and the lanes of the last one. */
  @Test
  void anyPlace_givesTheSame() {
    double[] x = new Random(SEED).doubles(100, -5, 5).toArray();
    double[] dy = new Random(SEED + 1).doubles(100, -5, 5).toArray();
    for (DType dtype : TYPES) {
      double[] y = forward(CpuBackend.BEST, dtype, x);
      double[] dx = backward(CpuBackend.BEST, dtype, x, dy);
      for (int start = 1; start < x.length; start++) {
        double[] someX = Arrays.copyOfRange(x, start, x.length);
        double[] someDy = Arrays.copyOfRange(dy, start, x.length);
        assertThat(forward(CpuBackend.BEST, dtype, someX))
            .isEqualTo(Arrays.copyOfRange(y, start, x.length));
        assertThat(backward(CpuBackend.BEST, dtype, someX, someDy))
            .isEqualTo(Arrays.copyOfRange(dx, start, x.length));
      }
    }
  }
}
