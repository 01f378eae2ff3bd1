package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Panels hold each value at its place, bit by bit, and zeros where columns or rows are missing. */
class PackingTest {
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  @ParameterizedTest
  @CsvSource({
    "1, 1", "3, 5", "4, 4", "15, 16", "16, 15", "16, 16", "17, 17", "31, 33", "32, 64", "33, 40",
    "96, 64", "196, 64", "197, 63", "64, 100", "5, 512"
  })
  void ofTransposedColumns(int columns, int depth) {
    check(columns, depth, MicroKernel.COLUMNS, true);
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "4, 16", "7, 33", "96, 64", "197, 63"})
  void ofColumns(int columns, int depth) {
    check(columns, depth, MicroKernel.COLUMNS, false);
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "3, 5", "4, 16", "7, 33", "96, 64"})
  void ofRows(int rows, int depth) {
    check(rows, depth, MicroKernel.ROWS, false);
    check(rows, depth, MicroKernel.ROWS, true);
  }

  private static void check(int lines, int depth, int width, boolean transposed) {
    // Columns of B that are transposed, and rows of A that are not, run along k in memory.
    boolean alongDepth = (width == MicroKernel.COLUMNS) == transposed;
    int stride = (alongDepth ? depth : lines) + 3;
    int panels = (lines + width - 1) / width;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment from = arena.allocate(4L * stride * (alongDepth ? lines : depth), 64);
      MemorySegment to = arena.allocate(4L * panels * width * depth + 64, 64);
      for (int i = 0; i < from.byteSize() / 4; i++) {
        // Every bit pattern has to survive: also those of numbers that are no numbers.
        from.set(INT, 4L * i, i % 7 == 0 ? 0x7f80_0001 + i : i % 11 == 0 ? 0xff80_0000 : i + 1);
      }
      to.fill((byte) 0x55);
      if (width == MicroKernel.COLUMNS) {
        Packing.columnPanels(from.address(), 4L * stride, transposed, lines, depth, to.address());
      } else {
        Packing.rowPanels(from.address(), 4L * stride, transposed, lines, depth, to.address());
      }
      int[] packed = to.asSlice(0, 4L * panels * width * depth).toArray(INT);
      int[] wanted = new int[packed.length];
      for (int line = 0; line < lines; line++) {
        for (int k = 0; k < depth; k++) {
          int at = alongDepth ? line * stride + k : k * stride + line;
          wanted[(line / width * depth + k) * width + line % width] = from.get(INT, 4L * at);
        }
      }
      assertThat(packed).isEqualTo(wanted);
      assertThat(to.get(INT, 4L * packed.length)).as("behind the panels").isEqualTo(0x55555555);
    }
  }
}
