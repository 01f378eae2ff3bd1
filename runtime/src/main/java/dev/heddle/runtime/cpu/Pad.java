package dev.heddle.runtime.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Room for a few vectors on each thread. A run whose length no vector divides ends with a piece
 * that is copied here, computed as a whole vector by the same loop, and copied back. A masked
 * version of the loop's body behind it would be too seldom executed for the compiler to inline what
 * it calls, and then makes garbage for each row.
 */
final class Pad {
  private static final ThreadLocal<Pad> OF_THREAD = ThreadLocal.withInitial(Pad::new);

  private final MemorySegment memory = Arena.ofAuto().allocate(4L * Lanes.BYTES, Lanes.BYTES);

  private Pad() {}

  /** Address of room for four vectors, this thread's own. */
  static long address() {
    return OF_THREAD.get().memory.address();
  }
}
