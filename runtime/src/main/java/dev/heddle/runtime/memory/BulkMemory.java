package dev.heddle.runtime.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Locale;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Copies and clears memory, much at a time, by the C library's {@code memmove} and {@code memset}.
 * These know the processor: where it has instructions that copy and fill by themselves, lines that
 * will be overwritten as a whole are not fetched first, which saves a third of the traffic. HotSpot
 * copies with loads and stores. What is small, in the Java heap or not open to this thread goes
 * through {@link MemorySegment}, with its errors.
 */
public final class BulkMemory {
  // From so many bytes on the C library is called: below, its instructions take long to start.
  private static final long MUCH_TO_COPY = 4096;
  private static final long MUCH_TO_CLEAR = 8192;

  /**
   * From so many bytes on copies are HotSpot's again: it passes the caches by, which could not hold
   * what is copied. It does so from 2.5 MiB on, where whoever reads the copy next then takes twice
   * as long.
   */
  public static final long TOO_MUCH_FOR_CACHES = 8L << 20;

  // Copied from, aligned: HotSpot copies zeros out of the first-level cache at 80 GB/s where it
  // fills memory at 50.
  private static final MemorySegment ZEROS =
      Arena.global().allocate(MUCH_TO_CLEAR, MemoryPool.ALIGNMENT);

  /** The C library's functions, found once. */
  private record Calls(MethodHandle move, MethodHandle set) {
    private static final @Nullable Calls FOUND = find();

    private static @Nullable Calls find() {
      // Elsewhere a device's memory is not kept where a copier may still go by its addresses.
      String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
      if (!system.equals("linux") || ValueLayout.ADDRESS.byteSize() != Long.BYTES) {
        return null;
      }
      // Their results, the first argument, are not looked at. Addresses as numbers: for a segment
      // each call would count itself in and out of its arena, on a line that all ranks write.
      // Memset's zero, an int, is the same in a register for a long: one kind of call to link.
      FunctionDescriptor descriptor =
          FunctionDescriptor.ofVoid(
              ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG);
      MethodHandle move = handle("memmove", descriptor);
      MethodHandle set = handle("memset", descriptor);
      return move == null || set == null ? null : new Calls(move, set);
    }

    // Critical: without a change of the thread's state, so that no arena is closed meanwhile, as
    // within HotSpot's own copying.
    private static @Nullable MethodHandle handle(String name, FunctionDescriptor descriptor) {
      Linker linker = Linker.nativeLinker();
      return linker
          .defaultLookup()
          .find(name)
          .map(
              function ->
                  linker.downcallHandle(function, descriptor, Linker.Option.critical(false)))
          .orElse(null);
    }

    void move(long from, long to, long bytes) {
      try {
        move.invokeExact(to, from, bytes);
      } catch (Throwable e) {
        throw new AssertionError("memmove does not throw", e);
      }
    }

    void clear(long address, long bytes) {
      try {
        set.invokeExact(address, 0L, bytes);
      } catch (Throwable e) {
        throw new AssertionError("memset does not throw", e);
      }
    }
  }

  private BulkMemory() {}

  /**
   * Copies bytes, which may overlap; as {@link MemorySegment#copy(MemorySegment, long,
   * MemorySegment, long, long)}, and with the same bits and errors.
   */
  public static void copy(
      MemorySegment from, long fromOffset, MemorySegment to, long toOffset, long bytes) {
    Calls calls = Calls.FOUND;
    boolean much = bytes >= MUCH_TO_COPY && bytes < TOO_MUCH_FOR_CACHES;
    if (calls != null && much && isOpen(from) && isOpen(to) && !to.isReadOnly()) {
      Objects.checkFromIndexSize(fromOffset, bytes, from.byteSize());
      Objects.checkFromIndexSize(toOffset, bytes, to.byteSize());
      calls.move(from.address() + fromOffset, to.address() + toOffset, bytes);
    } else {
      copySegments(from, fromOffset, to, toOffset, bytes);
    }
  }

  /**
   * Sets {@code bytes} bytes from {@code offset} on to zero, with the errors of {@link
   * MemorySegment#copy(MemorySegment, long, MemorySegment, long, long)}.
   */
  public static void clear(MemorySegment memory, long offset, long bytes) {
    Calls calls = Calls.FOUND;
    if (calls != null && bytes >= MUCH_TO_CLEAR && isOpen(memory) && !memory.isReadOnly()) {
      Objects.checkFromIndexSize(offset, bytes, memory.byteSize());
      calls.clear(memory.address() + offset, bytes);
    } else {
      copyZeros(memory, offset, bytes);
    }
  }

  private static boolean isOpen(MemorySegment memory) {
    return memory.isNative()
        && memory.scope().isAlive()
        && memory.isAccessibleBy(Thread.currentThread());
  }

  /** Up to the next cache line first: vectors that are stored across lines take twice as long. */
  private static void copySegments(
      MemorySegment from, long fromOffset, MemorySegment to, long toOffset, long bytes) {
    long head = -(to.address() + toOffset) & (MemoryPool.ALIGNMENT - 1);
    // What overlaps is copied at once, since the rest may lie in the way of the head.
    if (head == 0 || bytes < MUCH_TO_COPY || from.asOverlappingSlice(to).isPresent()) {
      MemorySegment.copy(from, fromOffset, to, toOffset, bytes);
    } else {
      MemorySegment.copy(from, fromOffset, to, toOffset, head);
      MemorySegment.copy(from, fromOffset + head, to, toOffset + head, bytes - head);
    }
  }

  private static void copyZeros(MemorySegment memory, long offset, long bytes) {
    long end = offset + bytes;
    long at = offset;
    // To the next cache line first: vectors that are stored across lines take twice as long.
    long next = at + (-(memory.address() + at) & (MemoryPool.ALIGNMENT - 1));
    while (at < end) {
      next = Math.min(end, next == at ? at + ZEROS.byteSize() : next);
      MemorySegment.copy(ZEROS, 0, memory, at, next - at);
      at = next;
    }
  }
}
