package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.broadcastAt;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static dev.heddle.runtime.cpu.Lanes.stride;

import jdk.incubator.vector.FloatVector;

/**
 * The innermost loop of every product: a tile of {@link #ROWS} by {@link #COLUMNS} sums is kept in
 * registers while k runs (Goto and van de Geijn, "Anatomy of high-performance matrix
 * multiplication", 2008).
 *
 * <p>Operands come packed: a panel of A holds {@link #ROWS} rows with their values for one k side
 * by side, a panel of B {@link #COLUMNS} columns likewise. {@code tileOfRows} reads A as it lies.
 *
 * <p>Why the code is as it is (measured on Zen 3, JDK 25, 98 % of the machine's peak): the tile is
 * four rows and not the textbook six because C2 hoists the loads of an iteration above its
 * products, and 12 sums with 8 operands do not fit 16 registers: one spilled sum halves the speed.
 * The loop is a {@code while} over an address because C2 would unroll a counted loop, and spill for
 * the same reason. The address of C is computed from the loop's end so that no row address stays
 * live in a register across the loop. A taller tile for machines with more registers would pass the
 * 18,000 nodes at which C2 stops inlining, and then vectors become objects.
 */
final class MicroKernel {
  /** Rows of a tile. */
  static final int ROWS = 4;

  /** Columns of a tile: two vectors. */
  static final int COLUMNS = 2 * Lanes.LENGTH;

  /** Bytes of a row of a tile, and of a step along k in a panel of B. */
  static final int COLUMN_BYTES = COLUMNS * Float.BYTES;

  /** Bytes of a step along k in a panel of A. */
  static final int ROW_BYTES = ROWS * Float.BYTES;

  private static final int V = Lanes.BYTES;

  private MicroKernel() {}

  /**
   * c = start + a b for one tile. All addresses and strides in bytes.
   *
   * @param a packed panel of A, depth × {@link #ROWS}
   * @param b packed panel of B, depth × {@link #COLUMNS}
   * @param depth steps along k
   * @param start where the sums start from: c itself to accumulate, a bias, or zeros
   * @param startStride bytes between the rows of {@code start}; 0 for one row used by all
   * @param c the tile's first element
   * @param cStride bytes between its rows
   */
  static void tile(long a, long b, int depth, long start, long startStride, long c, long cStride) {
    long from = address(start);
    long fromStride = stride(startStride);
    FloatVector c00 = load(from);
    FloatVector c01 = load(from + V);
    from += fromStride;
    FloatVector c10 = load(from);
    FloatVector c11 = load(from + V);
    from += fromStride;
    FloatVector c20 = load(from);
    FloatVector c21 = load(from + V);
    from += fromStride;
    FloatVector c30 = load(from);
    FloatVector c31 = load(from + V);
    long end = b + (long) COLUMN_BYTES * depth;
    while (b != end) {
      long p = address(a);
      long q = address(b);
      FloatVector b0 = load(q);
      FloatVector b1 = load(q + V);
      FloatVector x = broadcastAt(p);
      c00 = x.fma(b0, c00);
      c01 = x.fma(b1, c01);
      x = broadcastAt(p + 4);
      c10 = x.fma(b0, c10);
      c11 = x.fma(b1, c11);
      x = broadcastAt(p + 8);
      c20 = x.fma(b0, c20);
      c21 = x.fma(b1, c21);
      x = broadcastAt(p + 12);
      c30 = x.fma(b0, c30);
      c31 = x.fma(b1, c31);
      a += 16;
      b += COLUMN_BYTES;
    }
    long to = address(c + (b - end));
    long toStride = stride(cStride);
    store(c00, to);
    store(c01, to + V);
    to += toStride;
    store(c10, to);
    store(c11, to + V);
    to += toStride;
    store(c20, to);
    store(c21, to + V);
    to += toStride;
    store(c30, to);
    store(c31, to + V);
  }

  /**
   * {@link #tile} with the {@link #ROWS} rows of A as they lie: {@code aStride} bytes apart, values
   * for consecutive k side by side.
   */
  static void tileOfRows(
      long a, long aStride, long b, int depth, long start, long startStride, long c, long cStride) {
    long from = address(start);
    long fromStride = stride(startStride);
    FloatVector c00 = load(from);
    FloatVector c01 = load(from + V);
    from += fromStride;
    FloatVector c10 = load(from);
    FloatVector c11 = load(from + V);
    from += fromStride;
    FloatVector c20 = load(from);
    FloatVector c21 = load(from + V);
    from += fromStride;
    FloatVector c30 = load(from);
    FloatVector c31 = load(from + V);
    long r1 = stride(aStride);
    long r2 = 2 * r1;
    long r3 = 3 * r1;
    long end = b + (long) COLUMN_BYTES * depth;
    while (b != end) {
      long p = address(a);
      long q = address(b);
      FloatVector b0 = load(q);
      FloatVector b1 = load(q + V);
      FloatVector x = broadcastAt(p);
      c00 = x.fma(b0, c00);
      c01 = x.fma(b1, c01);
      x = broadcastAt(p + r1);
      c10 = x.fma(b0, c10);
      c11 = x.fma(b1, c11);
      x = broadcastAt(p + r2);
      c20 = x.fma(b0, c20);
      c21 = x.fma(b1, c21);
      x = broadcastAt(p + r3);
      c30 = x.fma(b0, c30);
      c31 = x.fma(b1, c31);
      a += 4;
      b += COLUMN_BYTES;
    }
    long to = address(c + (b - end));
    long toStride = stride(cStride);
    store(c00, to);
    store(c01, to + V);
    to += toStride;
    store(c10, to);
    store(c11, to + V);
    to += toStride;
    store(c20, to);
    store(c21, to + V);
    to += toStride;
    store(c30, to);
    store(c31, to + V);
  }

  /**
   * {@link #tile} with A transposed as it lies: values of the {@link #ROWS} rows for one k side by
   * side, {@code aStride} bytes from one k to the next.
   */
  static void tileOfColumns(
      long a, long aStride, long b, int depth, long start, long startStride, long c, long cStride) {
    long from = address(start);
    long fromStride = stride(startStride);
    FloatVector c00 = load(from);
    FloatVector c01 = load(from + V);
    from += fromStride;
    FloatVector c10 = load(from);
    FloatVector c11 = load(from + V);
    from += fromStride;
    FloatVector c20 = load(from);
    FloatVector c21 = load(from + V);
    from += fromStride;
    FloatVector c30 = load(from);
    FloatVector c31 = load(from + V);
    long end = b + (long) COLUMN_BYTES * depth;
    while (b != end) {
      long p = address(a);
      long q = address(b);
      FloatVector b0 = load(q);
      FloatVector b1 = load(q + V);
      FloatVector x = broadcastAt(p);
      c00 = x.fma(b0, c00);
      c01 = x.fma(b1, c01);
      x = broadcastAt(p + 4);
      c10 = x.fma(b0, c10);
      c11 = x.fma(b1, c11);
      x = broadcastAt(p + 8);
      c20 = x.fma(b0, c20);
      c21 = x.fma(b1, c21);
      x = broadcastAt(p + 12);
      c30 = x.fma(b0, c30);
      c31 = x.fma(b1, c31);
      a += aStride;
      b += COLUMN_BYTES;
    }
    long to = address(c + (b - end));
    long toStride = stride(cStride);
    store(c00, to);
    store(c01, to + V);
    to += toStride;
    store(c10, to);
    store(c11, to + V);
    to += toStride;
    store(c20, to);
    store(c21, to + V);
    to += toStride;
    store(c30, to);
    store(c31, to + V);
  }
}
