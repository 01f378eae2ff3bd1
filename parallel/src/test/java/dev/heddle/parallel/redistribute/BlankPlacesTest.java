package dev.heddle.parallel.redistribute;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.layout.Holding;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.RowRuns;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Places that nothing is sent to. */
@SuppressWarnings("try") // scopes are there to be open
class BlankPlacesTest {
  // 3000 x 257 numbers are more than a thread clears at a time, and no multiple of what it copies.
  @ParameterizedTest
  @CsvSource({"F32, 1, 1", "F32, 257, 2", "F64, 5, 1", "BF16, 257, 2", "BF16, 1, 1"})
  void clear_setsThemZero_andLeavesTheRowsAsTheyAre(DType dtype, long features, int threads) {
    RowRuns.Builder builder = new RowRuns.Builder();
    for (long run = 0; run < 40; run++) {
      builder.add(10 * run, 10 * run + 1 + run % 3, 70 * run + 5);
    }
    RowRuns runs = builder.build();
    long rows = 3000;
    try (CpuDevice device = CpuDevice.open("cpu", threads, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray buffer = NDArray.full(device, dtype, Shape.of(rows, features), Double.NaN);

      places(runs, rows, features).clear(buffer);

      double[] values = buffer.toDoubles();
      boolean[] held = new boolean[Math.toIntExact(rows)];
      for (int run = 0; run < runs.count(); run++) {
        for (long i = 0; i < runs.end(run) - runs.start(run); i++) {
          held[Math.toIntExact(runs.place(run) + i)] = true;
        }
      }
      for (int i = 0; i < values.length; i++) {
        assertThat(Double.isNaN(values[i])).isEqualTo(held[(int) (i / features)]);
        assertThat(values[i]).isIn(0.0, Double.NaN);
      }
    }
  }

  @Test
  void clear_ofAViewOfMore_leavesWhatIsAroundIt() {
    try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray whole = NDArray.full(device, DType.F32, Shape.of(4, 2), 7);
      RowRuns runs = new RowRuns.Builder().add(0, 1, 1).build();

      places(runs, 2, 2).clear(whole.slice(0, 1, 3));

      assertThat(whole.toFloats()).containsExactly(7, 7, 0, 0, 7, 7, 7, 7);
    }
  }

  @Test
  void clear_onADeviceWithoutBytes_doesNothing() {
    try (MetaDevice device = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      NDArray buffer = NDArray.empty(device, DType.F32, 4, 2);

      places(RowRuns.NONE, 4, 2).clear(buffer);

      assertThat(buffer.shape()).isEqualTo(Shape.of(4, 2));
    }
  }

  private static BlankPlaces places(RowRuns runs, long rows, long features) {
    return new BlankPlaces(new Holding(0, runs, new Interval(0, features), 0, 0, rows));
  }
}
