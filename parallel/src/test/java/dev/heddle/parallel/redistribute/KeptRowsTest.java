package dev.heddle.parallel.redistribute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Rows that a rank copies itself. */
@SuppressWarnings("try") // scopes are there to be open
class KeptRowsTest {
  private static final int ROWS = 9000;

  // Of the first interval: less than is copied at a time; many times as much, and no multiple; more
  // than caches hold. The last ones are copied by parts of rows.
  @ParameterizedTest
  @CsvSource({
    "7, F32, 0, 0, 7",
    "65, F32, 0, 0, 65",
    "301, F32, 0, 0, 301",
    "64, F64, 0, 0, 64",
    "65, BF16, 0, 0, 65",
    "65, F32, 3, 0, 60",
    "301, F32, 0, 2, 299"
  })
  void copy_movesTheRowsOfEachInterval_andNothingElse(
      int width, DType dtype, int sourceColumn, int targetColumn, int columns) {
    long[] sourceRows = {0, 8000, 8001, 8002, 8100, 8600};
    long[] targetRows = {5, 8005, 8900, 8901, 8200, 8700};
    float[] numbers = new float[ROWS * width];
    for (int i = 0; i < numbers.length; i++) {
      // Exact in every type, and no two neighbours alike, in a row or a column.
      numbers[i] = (i * 7 + i / width * 13) % 251;
    }
    float[] wanted = new float[numbers.length];
    Arrays.fill(wanted, -1);
    for (int interval = 0; interval < sourceRows.length; interval += 2) {
      for (long row = sourceRows[interval]; row < sourceRows[interval + 1]; row++) {
        long there = row - sourceRows[interval] + targetRows[interval];
        System.arraycopy(
            numbers,
            Math.toIntExact(row * width + sourceColumn),
            wanted,
            Math.toIntExact(there * width + targetColumn),
            columns);
      }
    }
    try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray source = NDArray.of(device, Shape.of(ROWS, width), numbers).cast(dtype);
      NDArray target = NDArray.full(device, dtype, Shape.of(ROWS, width), -1);

      new KeptRows()
          .copy(source, sourceRows, sourceColumn, target, targetRows, targetColumn, columns);

      float[] got = target.cast(DType.F32).toFloats();
      assertThat(Arrays.mismatch(got, wanted)).isEqualTo(-1);
    }
  }

  @Test
  void copy_ofNoColumnsOrRows_doesNothing() {
    try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray source = NDArray.full(device, DType.F32, Shape.of(4, 3), 1);
      NDArray target = NDArray.full(device, DType.F32, Shape.of(4, 3), 2);
      KeptRows kept = new KeptRows();

      kept.copy(source, new long[] {0, 4}, 0, target, new long[] {0, 4}, 0, 0);
      kept.copy(source, new long[] {2, 2}, 0, target, new long[] {3, 3}, 0, 3);
      kept.copy(source, new long[0], 0, target, new long[0], 0, 3);

      assertThat(target.toFloats()).containsOnly(2);
    }
  }
}
