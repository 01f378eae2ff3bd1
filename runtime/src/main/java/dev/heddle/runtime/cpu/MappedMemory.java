package dev.heddle.runtime.cpu;

import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * Memory of a processor's pool. On Linux it is mapped in regions that ask for huge pages: an arena
 * would write zeros over what nobody promises to be zero, and touching memory for the first time, a
 * small page after the other, took a seventh of a first training step. Elsewhere, and where the
 * system refuses, it comes from an arena.
 */
final class MappedMemory implements MemoryPool.Source {
  private static final long HUGE = 2L << 20;

  /** Small blocks share regions of this size. */
  private static final long REGION = 16L << 20;

  /** Blocks from this size on have a region of their own. */
  private static final long LARGE = REGION / 4;

  // Both are protection bits and flags of Linux, the same on every processor that Java runs on.
  private static final int READ_AND_WRITE = 3;
  private static final int PRIVATE_AND_ANONYMOUS = 0x22;
  private static final int USE_HUGE_PAGES = 14;
  private static final int DISCARD = 4;
  private static final long FAILED = -1;

  private record Region(long address, long byteSize) {}

  /** The system's functions, found once. */
  private record Calls(MethodHandle map, MethodHandle advise, MethodHandle unmap) {
    private static final @Nullable Calls FOUND = find();

    private static @Nullable Calls find() {
      String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
      if (!system.equals("linux") || ValueLayout.ADDRESS.byteSize() != Long.BYTES) {
        return null;
      }
      FunctionDescriptor map =
          FunctionDescriptor.of(
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG);
      FunctionDescriptor advise =
          FunctionDescriptor.of(
              ValueLayout.JAVA_INT,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_LONG,
              ValueLayout.JAVA_INT);
      FunctionDescriptor unmap =
          FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);
      MethodHandle mapping = handle("mmap", map);
      MethodHandle advising = handle("madvise", advise);
      MethodHandle unmapping = handle("munmap", unmap);
      return mapping == null || advising == null || unmapping == null
          ? null
          : new Calls(mapping, advising, unmapping);
    }

    private static @Nullable MethodHandle handle(String name, FunctionDescriptor descriptor) {
      Linker linker = Linker.nativeLinker();
      return linker
          .defaultLookup()
          .find(name)
          .map(function -> linker.downcallHandle(function, descriptor))
          .orElse(null);
    }

    /** The address of new memory, {@link #FAILED} if there is none. */
    long map(long byteSize) {
      try {
        return (long) map.invokeExact(0L, byteSize, READ_AND_WRITE, PRIVATE_AND_ANONYMOUS, -1, 0L);
      } catch (Throwable e) {
        throw new AssertionError("a call into the system does not throw", e);
      }
    }

    /** Asks for huge pages; a system that has none says so, and that is all. */
    void useHugePages(long address, long byteSize) {
      advise(address, byteSize, USE_HUGE_PAGES);
    }

    /** Gives memory back and keeps its addresses, which read as zeros. */
    void discard(Region region) {
      advise(region.address, region.byteSize, DISCARD);
    }

    private void advise(long address, long byteSize, int advice) {
      try {
        int ignored = (int) advise.invokeExact(address, byteSize, advice);
      } catch (Throwable e) {
        throw new AssertionError("a call into the system does not throw", e);
      }
    }

    void unmap(Region region) {
      try {
        int ignored = (int) unmap.invokeExact(region.address, region.byteSize);
      } catch (Throwable e) {
        throw new AssertionError("a call into the system does not throw", e);
      }
    }
  }

  /**
   * Addresses of closed devices, oldest first. When a run fails, another rank may be about to copy
   * from a device that closes: it has looked whether the memory is open, and goes by addresses from
   * there on, as {@link dev.heddle.runtime.memory.BulkMemory} does. Zeros harm nobody then;
   * addresses without memory would end the process. So they are given back a while later.
   */
  private record Retired(Region region, long since) {
    private static final long NANOS = 10_000_000_000L;
    private static final int REGIONS = 1024;
    private static final ArrayDeque<Retired> ALL = new ArrayDeque<>();

    static void add(Calls calls, List<Region> regions) {
      long now = System.nanoTime();
      synchronized (ALL) {
        for (Region region : regions) {
          calls.discard(region);
          ALL.addLast(new Retired(region, now));
        }
        Retired oldest = ALL.peekFirst();
        while (oldest != null && (now - oldest.since > NANOS || ALL.size() > REGIONS)) {
          ALL.removeFirst();
          calls.unmap(oldest.region);
          oldest = ALL.peekFirst();
        }
      }
    }
  }

  /** Ends the life of all segments, so that whoever still has one is told. */
  private final Arena arena = Arena.ofShared();

  private final List<Region> regions = new ArrayList<>();
  private long next;
  private long end;

  /** The pool calls with its lock held. */
  @Override
  public MemorySegment allocate(long byteSize) {
    Calls calls = Calls.FOUND;
    long size = roundUp(byteSize, MemoryPool.ALIGNMENT);
    long address = FAILED;
    if (calls != null && size < Long.MAX_VALUE - REGION) {
      address = size >= LARGE ? region(calls, size) : share(calls, size);
    }
    return address == FAILED
        ? arena.allocate(byteSize, MemoryPool.ALIGNMENT)
        : MemorySegment.ofAddress(address).reinterpret(byteSize, arena, null);
  }

  private long share(Calls calls, long size) {
    if (size > end - next) {
      long address = region(calls, REGION);
      if (address == FAILED) {
        return FAILED;
      }
      next = address;
      end = address + REGION;
    }
    long address = next;
    next += size;
    return address;
  }

  /** A region that begins where a huge page does. */
  private long region(Calls calls, long size) {
    // Addresses that nobody touches cost nothing.
    long mapped = size + HUGE;
    long address = calls.map(mapped);
    if (address == FAILED) {
      return FAILED;
    }
    regions.add(new Region(address, mapped));
    long first = roundUp(address, HUGE);
    // The last part of a page stays small pages: a huge one would be there as a whole.
    long whole = size & -HUGE;
    if (whole > 0) {
      calls.useHugePages(first, whole);
    }
    return first;
  }

  private static long roundUp(long value, long step) {
    return (value + step - 1) & -step;
  }

  @Override
  public boolean lends() {
    return true;
  }

  @Override
  public void close() {
    arena.close();
    Calls calls = Calls.FOUND;
    if (calls != null) {
      Retired.add(calls, regions);
    }
    regions.clear();
    next = 0;
    end = 0;
  }
}
