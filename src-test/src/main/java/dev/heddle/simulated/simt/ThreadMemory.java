package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import java.util.Arrays;

/** The local memory of a warp's threads, one after the other, and which bytes were written. */
final class ThreadMemory {
  private final int byteSize;
  private final byte[] bytes;
  private final boolean[] written;

  ThreadMemory(int byteSize) {
    this.byteSize = byteSize;
    this.bytes = new byte[byteSize * Step.LANES];
    this.written = new boolean[byteSize * Step.LANES];
  }

  void clear() {
    Arrays.fill(written, false);
  }

  long read(Warp warp, int lane, long address, int size) {
    int at = checked(warp, lane, address, size);
    long bits = 0;
    for (int i = 0; i < size; i++) {
      if (!written[at + i]) {
        throw warp.fault(
            Kind.UNINITIALISED_READ,
            1 << lane,
            "reads local memory at 0x%x, where nothing was written".formatted(address + i));
      }
      bits |= (bytes[at + i] & 0xFFL) << (8 * i);
    }
    return bits;
  }

  void write(Warp warp, int lane, long address, int size, long bits) {
    int at = checked(warp, lane, address, size);
    for (int i = 0; i < size; i++) {
      bytes[at + i] = (byte) (bits >>> (8 * i));
      written[at + i] = true;
    }
  }

  private int checked(Warp warp, int lane, long address, int size) {
    if (address < 0 || address > byteSize - size) {
      throw warp.fault(
          Kind.ILLEGAL_ADDRESS,
          1 << lane,
          "%d bytes at 0x%x of local memory, of which a thread has %d"
              .formatted(size, address, byteSize));
    }
    if ((address & (size - 1)) != 0) {
      throw Faults.misaligned(warp, lane, address, size, "local memory");
    }
    return lane * byteSize + (int) address;
  }
}
