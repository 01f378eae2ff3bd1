package dev.heddle.simulated.driver;

import dev.heddle.simulated.memory.SimulatedFault;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.TreeMap;

/** Page-locked host memory: which ranges are, so that copies of others can be told apart. */
final class HostMemory {
  private static final long PAGE = 4096;

  private static final class Range {
    private final long byteSize;
    private final Arena arena = Arena.ofShared();

    private Range(long byteSize) {
      this.byteSize = byteSize;
    }
  }

  private final TreeMap<Long, Range> ranges = new TreeMap<>();

  /** New page-locked bytes, poisoned so that what was never written is seen. */
  long allocate(long bytes) {
    Range range = new Range(bytes);
    MemorySegment memory = range.arena.allocate(bytes, PAGE).fill((byte) 0xFF);
    ranges.put(memory.address(), range);
    return memory.address();
  }

  void free(long address) {
    Range range = ranges.remove(address);
    if (range == null) {
      throw DriverError.invalidValue(
          "0x%x is not the start of page-locked memory".formatted(address));
    }
    range.arena.close();
  }

  boolean isPinned(long address, long bytes) {
    Map.Entry<Long, Range> entry = ranges.floorEntry(address);
    return entry != null && address - entry.getKey() <= entry.getValue().byteSize - bytes;
  }

  /** Page-locked bytes, now that a copy runs. */
  MemorySegment bytes(long address, long bytes, String what) {
    if (!isPinned(address, bytes)) {
      throw new SimulatedFault(
          SimulatedFault.Kind.ILLEGAL_ADDRESS,
          "%s: page-locked host memory at 0x%x was freed before the copy ran"
              .formatted(what, address));
    }
    return MemorySegment.ofAddress(address).reinterpret(bytes);
  }

  long count() {
    return ranges.size();
  }

  void close() {
    ranges.values().forEach(range -> range.arena.close());
    ranges.clear();
  }
}
