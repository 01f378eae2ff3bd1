package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.ptx.PtxModule;
import java.lang.foreign.ValueLayout;
import java.util.function.DoubleUnaryOperator;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernels of kernels.cu, compiled by nvcc for every architecture, against Java. */
class NvccKernelTest {
  private final Device device = new Device();

  @AfterEach
  void close() {
    device.close();
  }

  @ParameterizedTest
  @ValueSource(ints = {75, 80, 90, 100})
  void softmax_withShuffles(int architecture) throws Exception {
    PtxModule module = Nvcc.kernels(architecture);
    int rows = 3;
    int n = 301;
    long x = device.floats(rows * n, i -> 3 * Math.sin(i));
    long y = device.floats(rows * n, i -> 0);
    for (Launch.Order order : Launch.Order.values()) {
      device.run(
          module,
          "softmax",
          Launch.of(rows, 128, 0, Device.parameters(x, y, n))
              .with(Launch.Options.DEFAULT.withOrder(order, 1).withRaces(true, true)));
      float[] results = device.floats(y, rows * n);
      for (int row = 0; row < rows; row++) {
        double sum = 0;
        for (int i = 0; i < n; i++) {
          sum += Math.exp(3 * Math.sin(row * n + i));
        }
        for (int i = 0; i < n; i++) {
          double want = Math.exp(3 * Math.sin(row * n + i)) / sum;
          assertThat((double) results[row * n + i]).isCloseTo(want, within(want * 2e-6));
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource(Launch.Order.class)
  void softmax_withoutItsSecondBarrierRaces(Launch.Order order) throws Exception {
    PtxModule module = Nvcc.kernels(75);
    long x = device.floats(128, i -> i);
    Launch launch =
        Launch.of(1, 128, 0, Device.parameters(x, x, 128))
            .with(Launch.Options.DEFAULT.withOrder(order, 1));
    assertThatThrownBy(() -> device.run(module, "racing_softmax", launch))
        .isInstanceOfSatisfying(
            SimulatedFault.class,
            fault -> assertThat(fault.kind()).isEqualTo(SimulatedFault.Kind.RACE));
  }

  @ParameterizedTest
  @ValueSource(ints = {75, 80, 90, 100})
  void matmul_inSharedTiles(int architecture) throws Exception {
    PtxModule module = Nvcc.kernels(architecture);
    int n = 37;
    long a = device.floats(n * n, i -> i % 7 - 3);
    long b = device.floats(n * n, i -> i % 11 - 5);
    long c = device.floats(n * n, i -> 0);
    device.run(
        module,
        "matmul",
        new Launch(3, 3, 1, 16, 16, 1, 0, Device.parameters(a, b, c, n), Launch.Options.DEFAULT));
    float[] results = device.floats(c, n * n);
    for (int row = 0; row < n; row++) {
      for (int column = 0; column < n; column++) {
        int want = 0;
        for (int k = 0; k < n; k++) {
          want += ((row * n + k) % 7 - 3) * ((k * n + column) % 11 - 5);
        }
        assertThat(results[row * n + column]).isEqualTo(want);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {75, 80, 90, 100})
  void sum_withAtomics(int architecture) throws Exception {
    PtxModule module = Nvcc.kernels(architecture);
    long x = device.floats(1000, i -> i % 4);
    long sum = device.floats(1, i -> 0);
    long exact = device.longs(0);
    long count = device.ints(1, i -> 0);
    device.run(
        module, "total", Launch.of(3, 64, 0, Device.parameters(x, sum, exact, count, 1000L)));
    assertThat(device.floats(sum, 1)[0]).isEqualTo(1500f);
    assertThat(Double.longBitsToDouble(device.longs(exact, 1)[0])).isEqualTo(1500.0);
    int want = 0;
    for (int thread = 0; thread < 192; thread++) {
      int own = 0;
      for (int i = thread; i < 1000; i += 192) {
        own += i % 4;
      }
      want += own > 2 ? 1 : 0;
    }
    assertThat(device.ints(count, 1)[0]).isEqualTo(want);
  }

  private static final DoubleUnaryOperator[] SINGLE = {
    Math::exp,
    Math::log,
    Math::sin,
    Math::tanh,
    v -> Math.pow(v, 1.5),
    NvccKernelTest::erf,
    v -> 1 / Math.sqrt(v),
    Math::log1p,
    Math::expm1,
    v -> Math.cos((float) v * 1e6f),
    v -> v % 0.7f,
    Math::cbrt,
    v -> Math.sqrt(v) / v
  };

  private static final DoubleUnaryOperator[] WHOLE = {
    Math::exp,
    Math::log,
    Math::sin,
    Math::tanh,
    v -> Math.pow(v, 1.5),
    v -> Math.cos(v * 1e6),
    v -> Math.sqrt(v) / v,
    v -> v % 0.7
  };

  /** By its series. */
  private static double erf(double x) {
    double term = x;
    double sum = x;
    for (int k = 1; k < 120; k++) {
      term *= -x * x / k;
      sum += term / (2 * k + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }

  @ParameterizedTest
  @ValueSource(ints = {75, 80, 90, 100})
  void libraryFunctions_haveTheirPrecision(int architecture) throws Exception {
    PtxModule module = Nvcc.kernels(architecture);
    long x = device.floats(64, i -> 0.05 + i * 0.071);
    long y = device.floats(64, i -> 0);
    float[] inputs = device.floats(x, 64);
    for (int f = 0; f < SINGLE.length; f++) {
      device.run(module, "single", Launch.of(1, 64, 0, Device.parameters(x, y, f)));
      float[] results = device.floats(y, 64);
      for (int i = 0; i < 64; i++) {
        double want = SINGLE[f].applyAsDouble(inputs[i]);
        assertThat((double) results[i])
            .as("function %d of %s", f, inputs[i])
            .isCloseTo(want, within(Math.max(Math.abs(want), 0.1) * 5e-7));
      }
    }
    long[] doubles = new long[64];
    for (int i = 0; i < 64; i++) {
      doubles[i] = Double.doubleToRawLongBits(0.05 + i * 0.071);
    }
    long wideX = device.longs(doubles);
    long wideY = device.longs(new long[64]);
    for (int f = 0; f < WHOLE.length; f++) {
      device.run(module, "whole", Launch.of(1, 64, 0, Device.parameters(wideX, wideY, f)));
      long[] results = device.longs(wideY, 64);
      for (int i = 0; i < 64; i++) {
        double want = WHOLE[f].applyAsDouble(Double.longBitsToDouble(doubles[i]));
        assertThat(Double.longBitsToDouble(results[i]))
            .as("function %d of %s", f, Double.longBitsToDouble(doubles[i]))
            .isCloseTo(want, within(Math.max(Math.abs(want), 0.1) * 1e-14));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {75, 80, 90, 100})
  void structuresCallsAndLocalArrays(int architecture) throws Exception {
    PtxModule module = Nvcc.kernels(architecture);
    long in = device.floats(24, i -> i);
    long out = device.floats(24, i -> -1);
    // A 2 x 3 x 4 array read as 4 x 3 x 2: transposed.
    device.run(
        module,
        "gather",
        Launch.of(
            1,
            32,
            0,
            Device.parameters(
                out, in, 3, 0, 4L, 3L, 2L, 0L, 0L, 0L, 0L, 0L, 1L, 4L, 12L, 0L, 0L, 0L, 0L, 0L,
                24L)));
    float[] results = device.floats(out, 24);
    for (int i = 0; i < 24; i++) {
      assertThat(results[i]).isEqualTo(i / 6 + i / 2 % 3 * 4 + i % 2 * 12);
    }
    device.run(module, "scaled", Launch.of(1, 24, 0, Device.parameters(out, 3)));
    results = device.floats(out, 24);
    for (int i = 0; i < 24; i++) {
      int at = (i & 7) * 3 & 7;
      assertThat(results[i]).isEqualTo((float) Math.pow(10, at & 3) * i);
    }
    assertThat(device.simulator.variable(module, "calls").get(ValueLayout.JAVA_LONG_UNALIGNED, 0))
        .isEqualTo(24);
  }

  private long brainFloats(int count, IntUnaryOperator value) {
    long address = device.memory.allocate(2L * count);
    for (int i = 0; i < count; i++) {
      device
          .memory
          .at(address + 2L * i, 2, "test")
          .set(
              ValueLayout.JAVA_SHORT_UNALIGNED,
              0,
              (short) (Float.floatToIntBits(value.applyAsInt(i)) >>> 16));
    }
    return address;
  }

  @ParameterizedTest
  @ValueSource(ints = {80, 90, 100})
  void tensorCores_withAsyncCopies(int architecture) throws Exception {
    PtxModule module = Nvcc.kernels(architecture);
    int k = 64;
    long a = brainFloats(16 * k, i -> i % 13 - 6);
    long b = brainFloats(k * 8, i -> i % 5 - 2);
    long c = device.floats(128, i -> 0);
    device.run(module, "product", Launch.of(1, 32, 0, Device.parameters(a, b, c, k)));
    float[] results = device.floats(c, 128);
    for (int row = 0; row < 16; row++) {
      for (int column = 0; column < 8; column++) {
        int want = 0;
        for (int i = 0; i < k; i++) {
          want += ((row * k + i) % 13 - 6) * ((i * 8 + column) % 5 - 2);
        }
        assertThat(results[row * 8 + column]).isEqualTo(want);
      }
    }
    assertThat(
            catchThrowableOfType(
                    SimulatedFault.class,
                    () ->
                        device.run(
                            module,
                            "hasty_product",
                            Launch.of(1, 32, 0, Device.parameters(a, b, c, k))))
                .kind())
        .isEqualTo(SimulatedFault.Kind.ASYNC_COPY_NOT_AWAITED);
  }

  @ParameterizedTest
  @CsvSource({"75,", "75,--use_fast_math", "80,", "90,", "100,"})
  void sixteenBitNumbers(int architecture, @Nullable String option) throws Exception {
    PtxModule module =
        option == null ? Nvcc.kernels(architecture) : Nvcc.kernels(architecture, option);
    long x = brainFloats(100, i -> i - 50);
    long y = brainFloats(100, i -> 0);
    long sum = device.floats(1, i -> 0);
    device.run(module, "scale", Launch.of(1, 128, 0, Device.parameters(x, y, sum, 100)));
    assertThat(device.floats(sum, 1)[0]).isEqualTo(-50f);
    short[] results = device.shorts(y, 100);
    for (int i = 0; i < 100; i++) {
      double want = (i - 50) * 1.25 + 0.1;
      assertThat((double) Float.intBitsToFloat(results[i] << 16))
          .isCloseTo(want, within(Math.abs(want) / 256));
    }
    if (architecture < 80) {
      return; // There are no pairs of bf16 yet.
    }
    long h = device.ints(50, i -> 0x3C00_4000);
    long g = device.ints(50, i -> 0);
    device.run(module, "pairs", Launch.of(1, 50, 0, Device.parameters(x, y, h, g)));
    assertThat(device.ints(g, 50)).containsOnly(0x4000_4400);
    results = device.shorts(y, 100);
    for (int i = 0; i < 50; i++) {
      int low = 2 * i - 50;
      int first = low > 20 ? low + 1 : low * low + low;
      int second = low > 20 ? low : (low + 1) * (low + 1) + low + 1;
      assertThat((double) Float.intBitsToFloat(results[2 * i] << 16))
          .isCloseTo(first, within(Math.abs(first) / 256.0));
      assertThat((double) Float.intBitsToFloat(results[2 * i + 1] << 16))
          .isCloseTo(second, within(Math.abs(second) / 256.0));
    }
  }
}
