package dev.heddle.runtime.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Room for a few vectors on each thread. A run whose length no vector divides ends with a piece
 * that is copied here, computed as a whole vector by the same loop, and copied back. A masked
 * version of the loop's body behind it would be too seldom executed for the compiler to inline what
 * it calls, and then makes garbage for each row.
 *
 * <p>The loop is called in the code once, and again by another loop around it, because two calls of
 * a loop over an exponential are more than the compiler inlines; see {@link RowStages}. That outer
 * loop has its test first: the compiler doubles the code that comes before a loop's test.
 */
final class Pad {
  private static final ThreadLocal<Pad> OF_THREAD = ThreadLocal.withInitial(Pad::new);

  /** Floats of {@link #tile}: a small part of the first-level cache. */
  static final int TILE = 1024;

  private static final int TILE_BYTES = TILE * Float.BYTES;

  private final MemorySegment memory =
      Arena.ofAuto().allocate(TILE_BYTES + 4L * Lanes.BYTES, Lanes.BYTES);

  private Pad() {}

  /** Address of room for four vectors, this thread's own. */
  static long address() {
    return tile() + TILE_BYTES;
  }

  /**
   * Address of room for {@link #TILE} floats beside those vectors, this thread's own: for what a
   * function leaves to the next when one loop over both is more than the compiler inlines.
   */
  static long tile() {
    return OF_THREAD.get().memory.address();
  }

  /** Copies fewer floats than a vector has to {@code pad} and makes the others {@code filler}. */
  static void fill(long pad, long from, int count, float filler) {
    copy(from, pad, count);
    for (int i = count; i < Lanes.LENGTH; i++) {
      Lanes.set(pad + 4L * i, filler);
    }
  }

  /** Copies fewer floats than a vector has. */
  static void copy(long from, long to, int count) {
    for (int i = 0; i < count; i++) {
      Lanes.set(to + 4L * i, Lanes.get(from + 4L * i));
    }
  }
}
