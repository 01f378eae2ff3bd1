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
 * GELU of bf16 by machine code, and its gradient, against double precision: of all 65,536 values
 * the nearest result that there is, or the next one.
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

  private static double[] forward(double... values) {
    try (CpuDevice device = CpuDevice.open("cpu:gelu", 2, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, DType.BF16, Shape.of(values.length), values);
      NDArray y = NDArray.full(device, DType.BF16, x.shape(), 3);
      x.kernels().unary(UnaryOperation.GELU, x, y);
      return y.toDoubles();
    }
  }

  private static double[] backward(double[] values, double[] gradients) {
    try (CpuDevice device = CpuDevice.open("cpu:gelu", 2, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, DType.BF16, Shape.of(values.length), values);
      NDArray dy = NDArray.of(device, DType.BF16, x.shape(), gradients);
      NDArray dx = NDArray.full(device, DType.BF16, x.shape(), 3);
      x.kernels().unaryBackward(UnaryOperation.GELU, x, dy, dx);
      return dx.toDoubles();
    }
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

  private static double[] ones() {
    double[] ones = new double[ALL];
    Arrays.fill(ones, 1);
    return ones;
  }

  @Test
  void forward_everyValue_isTheNearestOrTheNext() {
    double[] x = all();
    assertNearest(x, ones(), forward(x), MachineGeluTest::gelu, 10);
  }

  @Test
  void backward_everyValue_isTheNearestOrTheNext() {
    double[] x = all();
    assertNearest(x, ones(), backward(x, ones()), MachineGeluTest::derivative, 10);
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

  @Test
  void limits_areReached() {
    double infinity = Double.POSITIVE_INFINITY;
    double most = DType.bf16ToFloat((short) 0x7f7f);
    assertThat(forward(infinity, most, 20, -20, -most, -infinity))
        .containsExactly(infinity, most, 20, 0, 0, 0);
    assertThat(forward(0.0, -0.0)).containsExactly(0.0, -0.0);
    double[] gradients = {3, 3, 3, 3, 3, 3};
    assertThat(backward(new double[] {infinity, most, 20, -20, -most, -infinity}, gradients))
        .usingElementComparator(Double::compare)
        .containsExactly(3.0, 3.0, 3.0, -0.0, -0.0, -0.0);
  }

  @Test
  void gradientsThatAreNotFinite_show() {
    double infinity = Double.POSITIVE_INFINITY;
    double[] results =
        backward(new double[] {1, -0.5, -2, -20}, new double[] {Double.NaN, infinity, infinity, 5});
    assertThat(results).containsExactly(Double.NaN, infinity, -infinity, -0.0);
  }

  /** Pairs of vectors, the vectors that are left, and the lanes of the last one. */
  @Test
  void anyPlace_givesTheSame() {
    double[] x = new Random(SEED).doubles(100, -5, 5).toArray();
    double[] dy = new Random(SEED + 1).doubles(100, -5, 5).toArray();
    double[] y = forward(x);
    double[] dx = backward(x, dy);
    for (int size = 1; size < x.length; size++) {
      int start = x.length - size;
      assertThat(forward(Arrays.copyOfRange(x, start, x.length)))
          .isEqualTo(Arrays.copyOfRange(y, start, x.length));
      assertThat(
              backward(
                  Arrays.copyOfRange(x, start, x.length), Arrays.copyOfRange(dy, start, x.length)))
          .isEqualTo(Arrays.copyOfRange(dx, start, x.length));
    }
  }
}
