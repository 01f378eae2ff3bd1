package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The bf16 loops give the bits that the F32 kernels give for widened operands, rounded once; of
 * sums, what a sum in double precision gives within a unit of the last place. Sizes end before, at
 * and behind a vector, a tile and a share of a worker.
 */
class Bf16LoopsTest {
  /** By machine code where it runs, and in Java. */
  private static final List<CpuBackend> BACKENDS = List.of(CpuBackend.BEST, CpuBackend.VECTOR);

  private static final double[] SPECIAL = {
    Double.NaN,
    Double.POSITIVE_INFINITY,
    Double.NEGATIVE_INFINITY,
    0.0,
    -0.0,
    1e-39,
    -3e38,
    3e38,
    -20,
    20
  };

  /** Normal values with every special one among them, at a place that differs by {@code seed}. */
  private static double[] values(int size, int seed) {
    Random random = new Random(seed);
    double[] values = new double[size];
    for (int i = 0; i < size; i++) {
      boolean special = random.nextInt(7) == 0;
      values[i] = special ? SPECIAL[random.nextInt(SPECIAL.length)] : random.nextGaussian();
    }
    return values;
  }

  private static NDArray narrow(CpuDevice device, double[] values) {
    return NDArray.of(device, DType.BF16, Shape.of(values.length), values);
  }

  private static NDArray like(NDArray x, DType dtype) {
    return NDArray.full(x.device(), dtype, x.shape(), 3);
  }

  private static void assertSameBits(NDArray actual, NDArray expected, String what) {
    assertThat(actual.toDoubles()).as(what).isEqualTo(expected.cast(DType.BF16).toDoubles());
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 2048, 2063, 32768, 32785})
  void elementwise_anySize_isTheRoundedF32Kernel(int size) {
    for (CpuBackend backend : BACKENDS) {
      checkElementwise(backend, size);
    }
  }

  private static void checkElementwise(CpuBackend backend, int size) {
    try (CpuDevice device = CpuDevice.open("bf16", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      NDArray a = narrow(device, values(size, 1));
      NDArray b = narrow(device, values(size, 2));
      NDArray wideA = a.cast(DType.F32);
      NDArray wideB = b.cast(DType.F32);
      NDArray y = like(a, DType.BF16);
      NDArray wideY = like(a, DType.F32);
      for (UnaryOperation op : UnaryOperation.values()) {
        boolean byTables = backend == CpuBackend.BEST && CpuBackend.hasMachineCode();
        if (op == UnaryOperation.GELU && byTables) {
          continue; // has bits of its own: MachineGeluTest
        }
        a.kernels().unary(op, a, y);
        wideA.kernels().unary(op, wideA, wideY);
        assertSameBits(y, wideY, op.toString());
        a.kernels().unaryBackward(op, a, b, y);
        wideA.kernels().unaryBackward(op, wideA, wideB, wideY);
        assertSameBits(y, wideY, op + " backward");
      }
      for (BinaryOperation op : BinaryOperation.values()) {
        a.kernels().binary(op, a, b, y);
        wideA.kernels().binary(op, wideA, wideB, wideY);
        assertSameBits(y, wideY, op.toString());
      }
      a.kernels().scale(a, -0.3, y);
      wideA.kernels().scale(wideA, -0.3, wideY);
      assertSameBits(y, wideY, "scale");
      a.kernels().addScaled(a, 0.7, b);
      wideA.kernels().addScaled(wideA, 0.7, wideB);
      assertSameBits(b, wideB, "addScaled");
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 4, 5, 37, 64, 257})
  void sumTo_anyNumberOfRows_isRoundedOnce(int rows) {
    for (int columns : new int[] {1, 15, 48, 1537}) {
      try (CpuDevice device = CpuDevice.open("bf16", 2, CpuBackend.BEST);
          MemoryScope scope = MemoryScope.open()) {
        double[] values = new Random(5).doubles((long) rows * columns, 0, 1).toArray();
        boolean spoilt = columns > 1;
        if (spoilt) {
          values[columns - 1] = Double.NaN;
          values[0] = Double.POSITIVE_INFINITY;
        }
        NDArray x = NDArray.of(device, DType.BF16, Shape.of(rows, columns), values);
        NDArray y = NDArray.full(device, DType.BF16, Shape.of(columns), 3);
        x.kernels().sumTo(x, y);
        double[] exact = x.toDoubles();
        double[] sums = y.toDoubles();
        for (int column = 0; column < columns; column++) {
          double sum = 0;
          for (int row = 0; row < rows; row++) {
            sum += exact[row * columns + column];
          }
          if (Double.isFinite(sum)) {
            // Half a unit of bf16's last place, and what F32 sums are off.
            assertThat(Math.abs(sums[column] - sum)).isLessThanOrEqualTo(sum * 0x1.01p-8);
          } else {
            assertThat(Double.compare(sums[column], sum)).isZero();
          }
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 32768, 32785})
  void adamW_anySize_isTheF32KernelsWithARoundedCopy(int size) {
    for (CpuBackend backend : BACKENDS) {
      checkAdamW(backend, size);
    }
  }

  private static void checkAdamW(CpuBackend backend, int size) {
    AdamWStep step = new AdamWStep(1e-3, 0.9, 0.95, 1e-8, 0.1, 3, 0.5);
    try (CpuDevice device = CpuDevice.open("bf16", 2, backend);
        MemoryScope scope = MemoryScope.open()) {
      NDArray gradient = narrow(device, values(size, 3));
      NDArray wideGradient = gradient.cast(DType.F32);
      NDArray weight =
          NDArray.of(device, DType.F32, Shape.of(size), new Random(4).doubles(size).toArray());
      NDArray[] ours = {weight, like(weight, DType.F32), like(weight, DType.F32)};
      NDArray[] theirs = {weight.copy(), like(weight, DType.F32), like(weight, DType.F32)};
      NDArray copy = like(weight, DType.BF16);
      for (boolean decays : new boolean[] {true, false}) {
        gradient
            .kernels()
            .adamW(
                step, List.of(new AdamWTensor(ours[0], gradient, ours[1], ours[2], copy, decays)));
        weight
            .kernels()
            .adamW(
                step,
                List.of(
                    new AdamWTensor(theirs[0], wideGradient, theirs[1], theirs[2], null, decays)));
        for (int i = 0; i < ours.length; i++) {
          assertThat(ours[i].toDoubles()).isEqualTo(theirs[i].toDoubles());
        }
        assertSameBits(copy, theirs[0], "the copy");
      }
    }
  }
}
