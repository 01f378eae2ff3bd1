package dev.heddle.simulated.simt;

import dev.heddle.simulated.memory.Allocation;
import dev.heddle.simulated.memory.SimulatedFault.Kind;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a launch reaches through global and const addresses: device memory and the module's
 * variables. Every instruction remembers, in a slot, the allocation that it accessed last.
 */
final class GlobalSpace {
  /** Where the module's variables are; no device's addresses. */
  static final long GLOBAL_VARIABLES = 0x6200_0000_0000L;

  static final long CONST_VARIABLES = 0x6300_0000_0000L;

  static final ValueLayout.OfShort SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Bytes that can be accessed, from an address on. */
  private record Range(
      long start,
      long byteSize,
      MemorySegment segment,
      boolean writable,
      @Nullable GlobalRaces races,
      @Nullable TouchedBytes touched) {
    /** Whether nobody wants to know who accesses it. */
    boolean isUnwatched() {
      return races == null && touched == null;
    }
  }

  private static final Range EMPTY = new Range(0, 0, MemorySegment.NULL, false, null, null);

  private final GlobalMemory memory;
  private final ModuleVariables variables;
  private final Range[] slots;
  private final int granuleBytes;
  private final boolean races;
  private final boolean traffic;
  private final Map<Long, Range> ranges = new HashMap<>();

  GlobalSpace(
      GlobalMemory memory,
      ModuleVariables variables,
      int slotCount,
      int granuleBytes,
      boolean races,
      boolean traffic) {
    this.memory = memory;
    this.variables = variables;
    this.granuleBytes = granuleBytes;
    this.races = races;
    this.traffic = traffic;
    this.slots = new Range[slotCount];
    Arrays.fill(slots, EMPTY);
  }

  long read(Warp warp, int lane, long address, int size, int slot) {
    Range range = range(warp, lane, address, size, slot, false);
    long at = address - range.start;
    if (range.races != null) {
      range.races.noteRead(warp, lane, at, size);
    }
    if (range.touched != null) {
      range.touched.noteRead(at, size);
    }
    return get(range.segment, at, size);
  }

  void write(Warp warp, int lane, long address, int size, int slot, long bits) {
    Range range = range(warp, lane, address, size, slot, true);
    long at = address - range.start;
    if (range.races != null) {
      range.races.noteWrite(warp, lane, at, size, false);
    }
    if (range.touched != null) {
      range.touched.noteWrite(at, size);
    }
    put(range.segment, at, size, bits);
  }

  long update(
      Warp warp,
      int lane,
      long address,
      int size,
      int slot,
      MemoryAccess.Update update,
      long b,
      long c) {
    Range range = range(warp, lane, address, size, slot, true);
    long at = address - range.start;
    if (range.races != null) {
      range.races.noteWrite(warp, lane, at, size, true);
    }
    if (range.touched != null) {
      range.touched.noteRead(at, size);
      range.touched.noteWrite(at, size);
    }
    long old = get(range.segment, at, size);
    put(range.segment, at, size, update.apply(old, b, c));
    return old;
  }

  /**
   * Reads an element a lane, all lanes, if that needs no closer look: all in the allocation that
   * was accessed last, aligned, and nobody watches it.
   *
   * @param row of the addresses; {@code offset} is added to them
   * @param width of the result's register in bits
   * @return whether it was done
   */
  boolean readRow(
      Warp warp, int slot, int row, long offset, int size, boolean signed, int d, int width) {
    Range range = slots[slot];
    if (!isSimple(range, warp.wide, row, offset, size) || signed) {
      return false;
    }
    MemorySegment segment = range.segment;
    long shift = offset - range.start;
    long[] wide = warp.wide;
    int[] narrow = warp.narrow;
    if (size == 4 && width == 32) {
      for (int i = 0; i < Step.LANES; i++) {
        narrow[d + i] = segment.get(INT, wide[row + i] + shift);
      }
    } else if (size == 2 && width < 64) {
      for (int i = 0; i < Step.LANES; i++) {
        narrow[d + i] = segment.get(SHORT, wide[row + i] + shift) & 0xFFFF;
      }
    } else if (size == 8) {
      for (int i = 0; i < Step.LANES; i++) {
        wide[d + i] = segment.get(LONG, wide[row + i] + shift);
      }
    } else {
      return false;
    }
    return true;
  }

  /** Writes an element a lane, under the same conditions as {@link #readRow}. */
  boolean writeRow(Warp warp, int slot, int row, long offset, int size, int source, int width) {
    Range range = slots[slot];
    if (!range.writable || !isSimple(range, warp.wide, row, offset, size)) {
      return false;
    }
    MemorySegment segment = range.segment;
    long shift = offset - range.start;
    long[] wide = warp.wide;
    int[] narrow = warp.narrow;
    if (size == 4 && width == 32) {
      for (int i = 0; i < Step.LANES; i++) {
        segment.set(INT, wide[row + i] + shift, narrow[source + i]);
      }
    } else if (size == 2 && width < 64) {
      for (int i = 0; i < Step.LANES; i++) {
        segment.set(SHORT, wide[row + i] + shift, (short) narrow[source + i]);
      }
    } else if (size == 8) {
      for (int i = 0; i < Step.LANES; i++) {
        segment.set(LONG, wide[row + i] + shift, wide[source + i]);
      }
    } else {
      return false;
    }
    return true;
  }

  private static boolean isSimple(Range range, long[] wide, int row, long offset, int size) {
    if (!range.isUnwatched()) {
      return false;
    }
    long least = Long.MAX_VALUE;
    long greatest = Long.MIN_VALUE;
    long any = 0;
    for (int i = 0; i < Step.LANES; i++) {
      long address = wide[row + i] + offset;
      least = Math.min(least, address);
      greatest = Math.max(greatest, address);
      any |= address;
    }
    return least >= range.start
        && greatest - range.start <= range.byteSize - size
        && (any & (size - 1)) == 0;
  }

  private Range range(Warp warp, int lane, long address, int size, int slot, boolean writing) {
    Range range = slots[slot];
    long at = address - range.start;
    if (at < 0 || at > range.byteSize - size) {
      range = find(warp, lane, address, size, slot);
    }
    if ((address & (size - 1)) != 0) {
      throw Faults.misaligned(warp, lane, address, size, "global memory");
    }
    if (writing && !range.writable) {
      throw warp.fault(
          Kind.ILLEGAL_ADDRESS,
          1 << lane,
          "writes to the const variable at 0x%x".formatted(address));
    }
    return range;
  }

  private Range find(Warp warp, int lane, long address, int size, int slot) {
    Range range = EMPTY;
    Allocation allocation = memory.find(address);
    if (allocation != null) {
      range =
          ranges.computeIfAbsent(
              allocation.address(),
              start ->
                  new Range(
                      start,
                      allocation.byteSize(),
                      allocation.segment(),
                      true,
                      races ? new GlobalRaces(allocation.byteSize(), granuleBytes) : null,
                      traffic ? new TouchedBytes(allocation.byteSize()) : null));
    } else if (address >= GLOBAL_VARIABLES && address < CONST_VARIABLES) {
      range =
          new Range(
              GLOBAL_VARIABLES,
              variables.global().byteSize(),
              variables.global(),
              true,
              null,
              null);
    } else if (address >= CONST_VARIABLES && address < MemoryAccess.PARAMETERS) {
      range =
          new Range(
              CONST_VARIABLES,
              variables.constant().byteSize(),
              variables.constant(),
              false,
              null,
              null);
    }
    long at = address - range.start;
    if (at < 0 || at > range.byteSize - size) {
      boolean variable = address >= GLOBAL_VARIABLES && address < MemoryAccess.PARAMETERS;
      throw warp.fault(
          Kind.ILLEGAL_ADDRESS,
          1 << lane,
          "%d bytes at 0x%x of global memory: %s"
              .formatted(
                  size,
                  address,
                  variable ? "outside the module's variables" : memory.describe(address, size)));
    }
    slots[slot] = range;
    return range;
  }

  /** Bytes of device memory that were read, each counted once, if that is counted. */
  long bytesRead() {
    long bytes = 0;
    for (Range range : ranges.values()) {
      bytes += range.touched == null ? 0 : range.touched.bytesRead();
    }
    return bytes;
  }

  /** Bytes of device memory that were written, each counted once, if that is counted. */
  long bytesWritten() {
    long bytes = 0;
    for (Range range : ranges.values()) {
      bytes += range.touched == null ? 0 : range.touched.bytesWritten();
    }
    return bytes;
  }

  private static long get(MemorySegment segment, long at, int size) {
    return switch (size) {
      case 1 -> segment.get(ValueLayout.JAVA_BYTE, at) & 0xFFL;
      case 2 -> segment.get(SHORT, at) & 0xFFFFL;
      case 4 -> segment.get(INT, at) & 0xFFFF_FFFFL;
      default -> segment.get(LONG, at);
    };
  }

  private static void put(MemorySegment segment, long at, int size, long bits) {
    switch (size) {
      case 1 -> segment.set(ValueLayout.JAVA_BYTE, at, (byte) bits);
      case 2 -> segment.set(SHORT, at, (short) bits);
      case 4 -> segment.set(INT, at, (int) bits);
      default -> segment.set(LONG, at, bits);
    }
  }
}
