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

  private record Range(long byteSize, Arena arena, Allocation allocation) {}

  private final TreeMap<Long, Range> ranges = new TreeMap<>();

  /** New page-locked bytes, poisoned so that what was never written is seen. */
  long allocate(long bytes) {
    Arena arena = Arena.ofShared();
    MemorySegment memory = arena.allocate(bytes, PAGE).fill((byte) 0xFF);
    ranges.put(memory.address(), new Range(bytes, arena, Allocation.ofHost(arena, memory)));
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

  /** The page-locked memory that {@code address} is in, or null: kernels reach it, too. */
  @Nullable Allocation find(long address) {
    Map.Entry<Long, Range> entry = ranges.floorEntry(address);
    return entry != null && address - entry.getKey() < entry.getValue().byteSize
        ? entry.getValue().allocation
        : null;
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
