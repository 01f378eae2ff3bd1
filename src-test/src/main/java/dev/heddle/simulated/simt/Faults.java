package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault;
import dev.heddle.simulated.memory.SimulatedFault.Kind;

/** Faults that several kinds of memory report alike. */
final class Faults {
  private Faults() {}

  static SimulatedFault misaligned(Warp warp, int lane, long address, int size, String where) {
    return warp.fault(
        Kind.MISALIGNED_ADDRESS,
        1 << lane,
        "%d bytes at 0x%x of %s, which is no multiple of %d".formatted(size, address, where, size));
  }
}
