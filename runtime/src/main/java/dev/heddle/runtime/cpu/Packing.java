package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.MEMORY;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static dev.heddle.runtime.cpu.Lanes.stride;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMNS;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMN_BYTES;
import static dev.heddle.runtime.cpu.MicroKernel.ROWS;
import static dev.heddle.runtime.cpu.MicroKernel.ROW_BYTES;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorShuffle;
import jdk.incubator.vector.VectorSpecies;

/**
 * Copies pieces of matrices into the panels that {@link MicroKernel} reads: all values of one k
 * side by side, missing rows or columns as zeros. The product then streams through memory and needs
 * no case for transposed operands.
 */
final class Packing {
  /**
   * A row of a panel of A moves as bytes: a second species of float vectors, however seldom used,
   * would make every call on a float vector ambiguous to the compiler.
   */
  private static final VectorSpecies<Byte> ROW_OF_BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(ROWS * Float.SIZE));

  private static final ByteOrder ORDER = ByteOrder.nativeOrder();
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  private Packing() {}

  /**
   * Panels of A for {@code rows} rows and {@code depth} values of k, one after the other.
   *
   * @param a address of op(a)[row, k] for the first row and k
   * @param rowStride bytes between memory rows of a as stored
   * @param transposed whether memory rows run along M instead of K
   */
  static void rowPanels(
      long a, long rowStride, boolean transposed, int rows, int depth, long panels) {
    long panelBytes = (long) depth * ROW_BYTES;
    if (transposed) {
      int whole = rows / ROWS;
      copyRows(a, rowStride, whole, depth, panels);
      int rest = rows - whole * ROWS;
      if (rest > 0) {
        long from = a + (long) whole * ROW_BYTES;
        copyNarrow(from, rowStride, rest, depth, panels + whole * panelBytes, ROWS);
      }
      return;
    }
    for (int row = 0; row < rows; row += ROWS) {
      long to = panels + row / ROWS * panelBytes;
      interleave(a + row * rowStride, rowStride, rows - row, depth, to, ROW_BYTES);
    }
  }

  /**
   * Panels of B for {@code columns} columns and {@code depth} values of k, one after the other.
   *
   * @param b address of op(b)[k, column] for the first k and column
   * @param rowStride bytes between memory rows of b as stored
   * @param transposed whether memory rows run along K instead of N
   */
  static void columnPanels(
      long b, long rowStride, boolean transposed, int columns, int depth, long panels) {
    long panelBytes = (long) depth * COLUMN_BYTES;
    if (!transposed) {
      int whole = columns / COLUMNS;
      copyColumns(b, rowStride, whole, depth, panels);
      int rest = columns - whole * COLUMNS;
      if (rest > 0) {
        long from = b + (long) whole * COLUMN_BYTES;
        copyNarrow(from, rowStride, rest, depth, panels + whole * panelBytes, COLUMNS);
      }
      return;
    }
    int whole = columns & -Lanes.LENGTH;
    int steps = depth & -Lanes.LENGTH;
    for (int column = 0; column < whole && steps > 0; column += Lanes.LENGTH) {
      long to = panels + column / COLUMNS * panelBytes + column % COLUMNS * 4L;
      transpose(b + column * rowStride, rowStride, steps, to, COLUMN_BYTES);
    }
    int padded = (columns + COLUMNS - 1) / COLUMNS * COLUMNS;
    for (int column = 0; column < padded; column += 4) {
      int done = column < whole ? steps : 0;
      long from = b + column * rowStride + 4L * done;
      long to = panels + column / COLUMNS * panelBytes + column % COLUMNS * 4L;
      interleave(
          from, rowStride, columns - column, depth - done, to + done * COLUMN_BYTES, COLUMN_BYTES);
    }
  }

  /**
   * As many memory rows as a vector has lanes become a vector a step. Squares of that many rows and
   * steps are transposed by exchanging the halves of their halves: the two squares off the diagonal
   * change places, first those of half the size, in the end single values. The first round reads
   * the rows and writes the panel, the others stay in it.
   *
   * @param depth a multiple of {@link Lanes#LENGTH}
   */
  private static void transpose(long from, long rowStride, int depth, long panel, long panelStep) {
    int half = Lanes.LENGTH / 2;
    long step = stride(rowStride);
    long toStep = stride(panelStep);
    long across = stride(half * step);
    long toAcross = stride(half * toStep);
    VectorShuffle<Float> swap = Lanes.swap(half);
    VectorMask<Float> upper = Lanes.upper(half);
    for (int k = 0; k < depth; k += Lanes.LENGTH) {
      long source = address(from + 4L * k);
      long target = address(panel + k * toStep);
      for (int i = 0; i < half; i++) {
        FloatVector a = load(source);
        FloatVector b = load(source + across);
        store(a.blend(b.rearrange(swap), upper), target);
        store(a.rearrange(swap).blend(b, upper), target + toAcross);
        source = address(source + step);
        target = address(target + toStep);
      }
    }
    for (int distance = half / 2; distance > 0; distance /= 2) {
      exchange(distance, depth / 2, panel, panelStep);
    }
  }

  /** One round on {@code pairs} of vectors that lie {@code distance} steps apart. */
  private static void exchange(int distance, int pairs, long panel, long panelStep) {
    long step = stride(panelStep);
    long across = stride(distance * step);
    VectorShuffle<Float> swap = Lanes.swap(distance);
    VectorMask<Float> upper = Lanes.upper(distance);
    for (int pair = 0; pair < pairs; pair++) {
      int first = (pair & -distance) << 1 | pair & distance - 1;
      long at = address(panel + first * step);
      FloatVector a = load(at);
      FloatVector b = load(at + across);
      store(a.blend(b.rearrange(swap), upper), at);
      store(a.rearrange(swap).blend(b, upper), at + across);
    }
  }

  /** Panels of full height: a memory row is read once, in order, and dealt out to them. */
  private static void copyRows(long from, long rowStride, int panels, int depth, long panel) {
    long step = stride(rowStride);
    long panelBytes = stride((long) depth * ROW_BYTES);
    int first = 0;
    for (; first + 4 <= panels; first += 4) {
      long source = address(from + (long) first * ROW_BYTES);
      long target = address(panel + first * panelBytes);
      for (int k = 0; k < depth; k++) {
        long at = source + k * step;
        long to = target + (long) k * ROW_BYTES;
        copyRow(at, to);
        copyRow(at + ROW_BYTES, to + panelBytes);
        copyRow(at + 2 * ROW_BYTES, to + 2 * panelBytes);
        copyRow(at + 3 * ROW_BYTES, to + 3 * panelBytes);
      }
    }
    for (; first < panels; first++) {
      long source = address(from + (long) first * ROW_BYTES);
      long target = address(panel + first * panelBytes);
      for (int k = 0; k < depth; k++) {
        copyRow(source + k * step, target + (long) k * ROW_BYTES);
      }
    }
  }

  private static void copyRow(long from, long to) {
    ByteVector.fromMemorySegment(ROW_OF_BYTES, MEMORY, from, ORDER)
        .intoMemorySegment(MEMORY, to, ORDER);
  }

  private static void copyColumns(long from, long rowStride, int panels, int depth, long panel) {
    long step = stride(rowStride);
    long panelBytes = stride((long) depth * COLUMN_BYTES);
    int first = 0;
    for (; first + 4 <= panels; first += 4) {
      long source = address(from + (long) first * COLUMN_BYTES);
      long target = address(panel + first * panelBytes);
      for (int k = 0; k < depth; k++) {
        long at = source + k * step;
        long to = target + (long) k * COLUMN_BYTES;
        copyTwo(at, to);
        copyTwo(at + COLUMN_BYTES, to + panelBytes);
        copyTwo(at + 2 * COLUMN_BYTES, to + 2 * panelBytes);
        copyTwo(at + 3 * COLUMN_BYTES, to + 3 * panelBytes);
      }
    }
    for (; first < panels; first++) {
      long source = address(from + (long) first * COLUMN_BYTES);
      long target = address(panel + first * panelBytes);
      for (int k = 0; k < depth; k++) {
        copyTwo(source + k * step, target + (long) k * COLUMN_BYTES);
      }
    }
  }

  private static void copyTwo(long from, long to) {
    store(load(from), to);
    store(load(from + Lanes.BYTES), to + Lanes.BYTES);
  }

  private static void copyNarrow(
      long from, long rowStride, int count, int depth, long panel, int width) {
    long source = address(from);
    long step = stride(rowStride);
    long target = address(panel);
    for (int k = 0; k < depth; k++) {
      for (int i = 0; i < count; i++) {
        MEMORY.set(INT, target + 4L * i, MEMORY.get(INT, source + 4L * i));
      }
      for (int i = count; i < width; i++) {
        MEMORY.set(INT, target + 4L * i, 0);
      }
      source = address(source + step);
      target = address(target + 4L * width);
    }
  }

  /** Four memory rows become four neighbours a step; only {@code count} exist, maybe none. */
  static void interleave(
      long from, long rowStride, int count, int depth, long panel, long panelStep) {
    long target = address(panel);
    long step = stride(panelStep);
    long r0 = address(from);
    long r1 = address(from + rowStride);
    long r2 = address(from + 2 * rowStride);
    long r3 = address(from + 3 * rowStride);
    if (count >= 4) {
      for (int k = 0; k < depth; k++) {
        long to = target + k * step;
        MEMORY.set(INT, to, MEMORY.get(INT, r0 + 4L * k));
        MEMORY.set(INT, to + 4, MEMORY.get(INT, r1 + 4L * k));
        MEMORY.set(INT, to + 8, MEMORY.get(INT, r2 + 4L * k));
        MEMORY.set(INT, to + 12, MEMORY.get(INT, r3 + 4L * k));
      }
      return;
    }
    for (int k = 0; k < depth; k++) {
      long to = target + k * step;
      MEMORY.set(INT, to, count > 0 ? MEMORY.get(INT, r0 + 4L * k) : 0);
      MEMORY.set(INT, to + 4, count > 1 ? MEMORY.get(INT, r1 + 4L * k) : 0);
      MEMORY.set(INT, to + 8, count > 2 ? MEMORY.get(INT, r2 + 4L * k) : 0);
      MEMORY.set(INT, to + 12, 0);
    }
  }
}
