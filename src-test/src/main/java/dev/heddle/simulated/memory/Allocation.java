package dev.heddle.simulated.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A piece of one simulated GPU's memory: {@code byteSize} bytes from the device address {@code
 * address} on, kept in host memory. Owned by its {@link DeviceMemory}.
 */
public final class Allocation {
  private final long address;
  private final long byteSize;
  private final Arena arena;
  private final MemorySegment segment;

  @SuppressWarnings("MustBeClosedChecker") // The arena is closed by release().
  Allocation(long address, long byteSize) {
    this.address = address;
    this.byteSize = byteSize;
    this.arena = Arena.ofShared();
    this.segment = arena.allocate(byteSize, DeviceMemory.HOST_ALIGNMENT);
  }

  private Allocation(Arena arena, MemorySegment segment) {
    this.address = segment.address();
    this.byteSize = segment.byteSize();
    this.arena = arena;
    this.segment = segment;
  }

  /** Host memory that GPUs reach at the host's own address, until {@code arena} is closed. */
  public static Allocation ofHost(Arena arena, MemorySegment segment) {
    return new Allocation(arena, segment);
  }

  /** The device address of the first byte. */
  public long address() {
    return address;
  }

  /** Size in bytes, as asked for. */
  public long byteSize() {
    return byteSize;
  }

  /** The first device address after it. */
  public long end() {
    return address + byteSize;
  }

  /** All its bytes; throws {@link IllegalStateException} on access once it was freed. */
  public MemorySegment segment() {
    return segment;
  }

  /** Whether all of {@code [start, start + bytes)} lies in it. */
  public boolean covers(long start, long bytes) {
    return start >= address && bytes <= byteSize && start - address <= byteSize - bytes;
  }

  void release() {
    arena.close();
  }

  @Override
  public String toString() {
    return "[0x%x, 0x%x) of %d bytes".formatted(address, end(), byteSize);
  }
}
