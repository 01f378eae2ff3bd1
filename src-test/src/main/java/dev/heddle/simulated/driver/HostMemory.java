package dev.heddle.simulated.driver;

import dev.heddle.simulated.memory.Allocation;
import dev.heddle.simulated.memory.SimulatedFault;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Page-locked host memory: which ranges are, so that copies of others can be told apart. */
final class HostMemory {
  private static final long PAGE = 4096;

  private static final class Range {
    private final Arena arena = Arena.ofShared();
    private final Allocation allocation;

    private Range(long bytes) {
      // Poisoned, so that what was never written is seen.
      MemorySegment memory = arena.allocate(bytes, PAGE).fill((byte) 0xFF);
      allocation = Allocation.ofHost(arena, memory);
    }
  }

  private final TreeMap<Long, Range> ranges = new TreeMap<>();

  /** New page-locked bytes. */
  long allocate(long bytes) {
    Range range = new Range(bytes);
    ranges.put(range.allocation.address(), range);
    return range.allocation.address();
  }

  void free(long address) {
    Range range = ranges.remove(address);
    if (range == null) {
      throw DriverError.invalidValue(
          "0x%x is not the start of page-locked memory".formatted(address));
    }
    range.arena.close();
  }

  /** The page-locked memory that {@code address} is in, or null: kernels reach it, too. */
  @Nullable Allocation find(long address) {
    Map.Entry<Long, Range> entry = ranges.floorEntry(address);
    if (entry == null) {
      return null;
    }
    Allocation allocation = entry.getValue().allocation;
    return allocation.covers(address, 1) ? allocation : null;
  }

  boolean isPinned(long address, long bytes) {
    Allocation allocation = find(address);
    return allocation != null && allocation.covers(address, bytes);
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
