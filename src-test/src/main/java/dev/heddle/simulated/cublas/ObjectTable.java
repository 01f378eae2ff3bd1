package dev.heddle.simulated.cublas;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The objects of one kind that a library handed out. A caller sees only the address of each; it is
 * real host memory, so that nothing else can have it, and is never given out twice.
 */
final class ObjectTable<T> {
  private static final long BYTES = 64;

  private final String kind;
  private final Map<Long, T> live = new ConcurrentHashMap<>();
  private final Arena arena;

  ObjectTable(String kind, Arena arena) {
    this.kind = kind;
    this.arena = arena;
  }

  /** Adds an object and stores its address where {@code result} points to. */
  void create(long result, T object) {
    Refusal.unless(result != 0, "the result pointer for a new %s is null", kind);
    long address = arena.allocate(BYTES, 16).address();
    live.put(address, object);
    MemorySegment.ofAddress(result)
        .reinterpret(Long.BYTES)
        .set(ValueLayout.JAVA_LONG_UNALIGNED, 0, address);
  }

  T get(long address) {
    T object = live.get(address);
    if (object == null) {
      throw Refusal.invalid(
          "0x%x is no %s: it was never created, or it was destroyed", address, kind);
    }
    return object;
  }

  void destroy(long address) {
    if (live.remove(address) == null) {
      throw Refusal.invalid("0x%x is no %s that could be destroyed", address, kind);
    }
  }

  void clear() {
    live.clear();
  }

  int size() {
    return live.size();
  }
}
