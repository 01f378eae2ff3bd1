package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Norms of bf16 rows against the F32 kernels on widened operands, rounded once: columns that end
 * before, at and behind a vector or two, pairs of rows and a single last one, one chunk and many.
 */
class Bf16NormsTest {
  private static NDArray random(CpuDevice device, int seed, double from, long... shape) {
    Shape of = Shape.of(shape);
    double[] values = new Random(seed).doubles(of.size(), from, from + 2).toArray();
    return NDArray.of(device, DType.BF16, of, values);
  }

  private static NDArray room(CpuDevice device, DType dtype, long... shape) {
    return NDArray.full(device, dtype, Shape.of(shape), 3);
  }

  /** Half a unit of bf16's last place, and what sums in another order are off. */
  private static void assertRounded(NDArray actual, NDArray expected, String what) {
    double[] values = actual.toDoubles();
    double[] wanted = expected.toDoubles();
    for (int i = 0; i < values.length; i++) {
      double tolerance = Math.abs(wanted[i]) * 0x1.01p-8 + 1e-5;
      assertThat(values[i]).as(what + " at " + i).isCloseTo(wanted[i], within(tolerance));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "1, 16",
    "2, 15",
    "3, 17",
    "5, 1",
    "17, 31",
    "33, 32",
    "16, 48",
    "131, 100",
    "600, 33"
  })
  void norms_anyShape_areTheRoundedF32Kernels(int rows, int columns) {
    try (CpuDevice device = CpuDevice.open("bf16", 2, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = random(device, 1, 4, rows, columns);
      NDArray weight = random(device, 2, 0, columns);
      NDArray bias = random(device, 3, -1, columns);
      NDArray dy = random(device, 4, -1, rows, columns);
      for (boolean centered : new boolean[] {true, false}) {
        NDArray[] narrow = run(device, DType.BF16, x, weight, bias, dy, centered);
        NDArray[] wide =
            run(
                device,
                DType.F32,
                x.cast(DType.F32),
                weight.cast(DType.F32),
                bias.cast(DType.F32),
                dy.cast(DType.F32),
                centered);
        for (int i = 0; i < narrow.length; i++) {
          assertRounded(narrow[i], wide[i], (centered ? "layer norm " : "RMS norm ") + i);
        }
      }
    }
  }

  /** y, mean, rstd, dx, dweight and dbias. */
  private static NDArray[] run(
      CpuDevice device,
      DType dtype,
      NDArray x,
      NDArray weight,
      NDArray bias,
      NDArray dy,
      boolean centered) {
    long rows = x.dim(0);
    long columns = x.dim(1);
    NDArray y = room(device, dtype, rows, columns);
    NDArray mean = room(device, DType.F32, rows);
    NDArray rstd = room(device, DType.F32, rows);
    NDArray dx = room(device, dtype, rows, columns);
    NDArray dweight = room(device, dtype, columns);
    NDArray dbias = room(device, dtype, columns);
    if (centered) {
      x.kernels().layerNorm(x, weight, bias, 1e-3, y, mean, rstd);
      x.kernels().layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
    } else {
      x.kernels().rmsNorm(x, weight, 1e-3, y, rstd);
      x.kernels().rmsNormBackward(x, weight, rstd, dy, dx, dweight);
    }
    return new NDArray[] {y, mean, rstd, dx, dweight, dbias};
  }
}
