package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.broadcastAt;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static dev.heddle.runtime.cpu.Lanes.stride;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMN_BYTES;

import jdk.incubator.vector.FloatVector;

/**
 * {@link MicroKernel} with six rows, for processors whose 512-bit vectors come with 32 registers.
 *
 * <p>Two units that each need four cycles for a product are kept busy by eight sums, which four
 * rows just are: every delay then costs. Twelve leave room, and a step along k loads eight values
 * for twelve products instead of six for eight. On a Zen 5 six rows are 3 to 6 % faster than four
 * while the core is alone, and 12 to 16 % when its other thread computes too. Eight rows pass what
 * C2 inlines, and vectors become objects: a twelfth of the speed.
 */
final class TallKernel {
  /** Rows of a tile. */
  static final int ROWS = 6;

  /** Bytes of a step along k in a panel of A. */
  static final int ROW_BYTES = ROWS * Float.BYTES;

  /** Whether the sums of a tile and their operands fit the registers. */
  static final boolean FITS = Lanes.LENGTH >= 16;

  private static final int V = Lanes.BYTES;

  private TallKernel() {}

  /**
   * c = start + a b for one tile, as {@link MicroKernel#tile}.
   *
   * @param a packed panel of A, depth × {@link #ROWS}
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
    from += fromStride;
    FloatVector c40 = load(from);
    FloatVector c41 = load(from + V);
    from += fromStride;
    FloatVector c50 = load(from);
    FloatVector c51 = load(from + V);
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
      x = broadcastAt(p + 16);
      c40 = x.fma(b0, c40);
      c41 = x.fma(b1, c41);
      x = broadcastAt(p + 20);
      c50 = x.fma(b0, c50);
      c51 = x.fma(b1, c51);
      a += ROW_BYTES;
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
    to += toStride;
    store(c40, to);
    store(c41, to + V);
    to += toStride;
    store(c50, to);
    store(c51, to + V);
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
    from += fromStride;
    FloatVector c40 = load(from);
    FloatVector c41 = load(from + V);
    from += fromStride;
    FloatVector c50 = load(from);
    FloatVector c51 = load(from + V);
    long r1 = stride(aStride);
    long r2 = 2 * r1;
    long r3 = 3 * r1;
    long r4 = 4 * r1;
    long r5 = 5 * r1;
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
      x = broadcastAt(p + r4);
      c40 = x.fma(b0, c40);
      c41 = x.fma(b1, c41);
      x = broadcastAt(p + r5);
      c50 = x.fma(b0, c50);
      c51 = x.fma(b1, c51);
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
    to += toStride;
    store(c40, to);
    store(c41, to + V);
    to += toStride;
    store(c50, to);
    store(c51, to + V);
  }
}
