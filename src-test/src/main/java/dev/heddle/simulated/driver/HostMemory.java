package dev.heddle.simulated.driver;

import dev.heddle.simulated.memory.SimulatedFault;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;

/** Page-locked host memory: which ranges are, so that copies of others can be told apart. */
final class HostMemory {
  private final TreeMap<Long, Long> pinned = new TreeMap<>();
  private final Map<Long, Arena> arenas = new HashMap<>();
  private final Map<Long, SimulatedContext> owners = new HashMap<>();

  long allocate(long bytes, SimulatedContext owner) {
    Arena arena = Arena.ofShared();
    // Poisoned, so that what was never written is seen.
    MemorySegment memory = arena.allocate(bytes, 4096).fill((byte) 0xFF);
    pinned.put(memory.address(), bytes);
    arenas.put(memory.address(), arena);
    owners.put(memory.address(), owner);
    return memory.address();
  }

  void free(long address) {
    Arena arena = arenas.remove(address);
    if (arena == null) {
      throw DriverError.invalidValue(
          "0x%x is not the start of page-locked memory".formatted(address));
    }
    pinned.remove(address);
    owners.remove(address);
    arena.close();
  }

  boolean isPinned(long address, long bytes) {
    Map.Entry<Long, Long> entry = pinned.floorEntry(address);
    return entry != null && address - entry.getKey() <= entry.getValue() - bytes;
  }

  /** Page-locked bytes, now that a copy runs. */
  static MemorySegment bytes(HostMemory memory, long address, long bytes, String what) {
    if (!memory.isPinned(address, bytes)) {
      throw new SimulatedFault(
          SimulatedFault.Kind.ILLEGAL_ADDRESS,
          "%s: page-locked host memory at 0x%x was freed before the copy ran"
              .formatted(what, address));
    }
    return MemorySegment.ofAddress(address).reinterpret(bytes);
  }

  long count() {
    return pinned.size();
  }

  void close() {
    arenas.values().forEach(Arena::close);
    arenas.clear();
    pinned.clear();
  }
}
