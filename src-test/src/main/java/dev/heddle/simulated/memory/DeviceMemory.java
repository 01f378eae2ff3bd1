package dev.heddle.simulated.memory;

import dev.heddle.simulated.memory.SimulatedFault.Kind;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import org.jspecify.annotations.Nullable;

/**
 * The memory of one simulated GPU. Device {@code n} owns the addresses from {@code 0x7000_0000_0000
 * + n * 2^36} up to those of the next device; none of them is an address of this process, so a host
 * that follows a device pointer does not get away with it.
 *
 * <p>Allocations are {@value #ALIGNMENT}-byte aligned with a gap after each, filled with 0xFF bytes
 * (NaN in every floating-point type, -1 in every integer), and an address that was freed is only
 * given out again when all higher ones have been used up.
 *
 * <p>Thread-safe; the caller sees to it that nothing is freed while it is in use.
 */
public final class DeviceMemory implements AutoCloseable {
  /** Alignment of every allocation in bytes, as {@code cuMemAlloc} gives. */
  public static final long ALIGNMENT = 512;

  static final long HOST_ALIGNMENT = 64;

  private static final long FIRST_DEVICE = 0x7000_0000_0000L;
  private static final int DEVICE_SHIFT = 36;
  private static final int DEVICES = 64;
  private static final long GUARD = 512;
  private static final byte POISON = (byte) 0xFF;
  private static final int FREED_REMEMBERED = 4096;

  private record Freed(long address, long byteSize) {}

  private final int device;
  private final long base;
  private final long end;
  private final long capacityBytes;
  private final ConcurrentSkipListMap<Long, Allocation> live = new ConcurrentSkipListMap<>();
  private final ArrayDeque<Freed> freed = new ArrayDeque<>();
  private long next;
  private long allocatedBytes;

  /**
   * An empty memory.
   *
   * @param device which device's, from 0 to 63
   * @param capacityBytes how many bytes may be allocated at a time, at most 2^36
   */
  public DeviceMemory(int device, long capacityBytes) {
    this(device, capacityBytes, 1L << DEVICE_SHIFT);
  }

  /** With fewer than 2^36 addresses: for tests of what happens when they are used up. */
  DeviceMemory(int device, long capacityBytes, long addresses) {
    if (device < 0 || device >= DEVICES) {
      throw new IllegalArgumentException("device " + device + ": want 0 to " + (DEVICES - 1));
    }
    if (capacityBytes <= 0 || capacityBytes > 1L << DEVICE_SHIFT) {
      throw new IllegalArgumentException("capacity " + capacityBytes + " bytes: want 1 to 2^36");
    }
    this.device = device;
    this.capacityBytes = capacityBytes;
    this.base = FIRST_DEVICE + ((long) device << DEVICE_SHIFT);
    this.next = base;
    this.end = base + addresses;
  }

  /** The device whose addresses {@code address} is among, or -1 if it is no device's. */
  public static int deviceOf(long address) {
    long device = (address - FIRST_DEVICE) >> DEVICE_SHIFT;
    return device < 0 || device >= DEVICES ? -1 : (int) device;
  }

  /** Which device's memory this is. */
  public int device() {
    return device;
  }

  /** How many bytes may be allocated at a time. */
  public long capacityBytes() {
    return capacityBytes;
  }

  /** How many bytes are still free. */
  public synchronized long freeBytes() {
    return capacityBytes - allocatedBytes;
  }

  /** How many allocations are live. */
  public int allocations() {
    return live.size();
  }

  /**
   * New memory of {@code byteSize} bytes, all of them 0xFF. The caller frees it.
   *
   * @return its device address, a multiple of {@value #ALIGNMENT}
   * @throws SimulatedFault {@link Kind#OUT_OF_MEMORY} if fewer bytes are free
   */
  public synchronized long allocate(long byteSize) {
    if (byteSize <= 0) {
      throw new IllegalArgumentException(
          "allocation of "
              + byteSize
              + " bytes on simulated device "
              + device
              + ": want 1 or more");
    }
    if (byteSize > capacityBytes - allocatedBytes) {
      throw new SimulatedFault(
          Kind.OUT_OF_MEMORY,
          "simulated device %d: %d bytes asked for, %d of %d free; free some, or give the device more"
              .formatted(device, byteSize, capacityBytes - allocatedBytes, capacityBytes));
    }
    long address = place(byteSize);
    Allocation allocation = new Allocation(address, byteSize);
    allocation.segment().fill(POISON);
    live.put(address, allocation);
    allocatedBytes += byteSize;
    return address;
  }

  /** Where the next allocation goes: after the last one, or in the first gap from the start. */
  private long place(long byteSize) {
    long span = span(byteSize);
    if (span <= end - next) {
      long address = next;
      next += span;
      return address;
    }
    long candidate = base;
    for (Allocation allocation : live.values()) {
      if (allocation.address() - candidate >= span) {
        break;
      }
      candidate = allocation.address() + span(allocation.byteSize());
    }
    if (span > end - candidate) {
      throw new SimulatedFault(
          Kind.OUT_OF_MEMORY,
          "simulated device %d: no gap of %d bytes between its %d allocations"
              .formatted(device, byteSize, live.size()));
    }
    next = live.higherKey(candidate) == null ? candidate + span : end;
    return candidate;
  }

  private static long span(long byteSize) {
    return (byteSize + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GUARD;
  }

  /**
   * Ends an allocation; its bytes are gone.
   *
   * @throws SimulatedFault {@link Kind#INVALID_FREE} if {@code address} is not the start of a live
   *     allocation, freed twice among others
   */
  public synchronized void free(long address) {
    Allocation allocation = live.remove(address);
    if (allocation == null) {
      throw new SimulatedFault(
          Kind.INVALID_FREE,
          "free of 0x%x on simulated device %d, which is no live allocation's start: %s"
              .formatted(address, device, describe(address, 1)));
    }
    allocatedBytes -= allocation.byteSize();
    freed.addLast(new Freed(address, allocation.byteSize()));
    if (freed.size() > FREED_REMEMBERED) {
      freed.removeFirst();
    }
    allocation.release();
  }

  /** The live allocation that {@code address} is in, or null. */
  public @Nullable Allocation find(long address) {
    Map.Entry<Long, Allocation> entry = live.floorEntry(address);
    return entry != null && entry.getValue().covers(address, 1) ? entry.getValue() : null;
  }

  /**
   * The {@code byteSize} live bytes from {@code address} on, which may be none.
   *
   * @param what what they are wanted for, named in the fault
   * @throws SimulatedFault {@link Kind#ILLEGAL_ADDRESS} if they are not all in one live allocation
   */
  public MemorySegment at(long address, long byteSize, String what) {
    Allocation allocation = find(address);
    if (allocation == null || !allocation.covers(address, byteSize)) {
      throw new SimulatedFault(
          Kind.ILLEGAL_ADDRESS,
          "%s: %d bytes at 0x%x on simulated device %d: %s"
              .formatted(what, byteSize, address, device, describe(address, byteSize)));
    }
    return allocation.segment().asSlice(address - allocation.address(), byteSize);
  }

  /** What is known about {@code [address, address + byteSize)}, for a message about it. */
  public synchronized String describe(long address, long byteSize) {
    if (deviceOf(address) != device) {
      return "not an address of device " + device;
    }
    Map.Entry<Long, Allocation> below = live.floorEntry(address);
    if (below != null && below.getValue().covers(address, 1)) {
      Allocation allocation = below.getValue();
      long over = address - allocation.address() + byteSize - allocation.byteSize();
      return over > 0
          ? "runs " + over + " bytes over the end of the allocation " + allocation
          : "inside the allocation " + allocation;
    }
    for (Freed old : (Iterable<Freed>) freed::descendingIterator) {
      if (address >= old.address && address - old.address < old.byteSize) {
        return "in an allocation that was freed: [0x%x, 0x%x) of %d bytes"
            .formatted(old.address, old.address + old.byteSize, old.byteSize);
      }
    }
    Map.Entry<Long, Allocation> above = live.higherEntry(address);
    long fromBelow = below == null ? Long.MAX_VALUE : address - below.getValue().end();
    long toAbove = above == null ? Long.MAX_VALUE : above.getKey() - address;
    if (below == null && above == null) {
      return "the device has no live allocation";
    }
    return below != null && fromBelow <= toAbove
        ? "in no allocation; " + fromBelow + " bytes after the end of " + below.getValue()
        : "in no allocation; " + toAbove + " bytes before " + live.get(address + toAbove);
  }

  /** Frees everything. */
  @Override
  public synchronized void close() {
    live.values().forEach(Allocation::release);
    live.clear();
    allocatedBytes = 0;
  }
}
