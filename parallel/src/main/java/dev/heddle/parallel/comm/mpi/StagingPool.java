package dev.heddle.parallel.comm.mpi;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;

/**
 * Native memory for what cannot be sent from or received to where it belongs: headers, packed
 * views, the summands of a reduction. Buffers have sizes of powers of two and are used again.
 */
final class StagingPool implements AutoCloseable {
  /** A piece of memory; whoever took it gives it back once. */
  record Buffer(Arena arena, MemorySegment segment, int sizeClass) {}

  private static final int SMALLEST = 8;
  private static final int CLASSES = 64 - SMALLEST;
  private static final long KEPT_BYTES = 1L << 30;
  private static final int ALIGNMENT = 64;

  private final List<ArrayDeque<Buffer>> idle = new ArrayList<>();
  private long idleBytes;

  StagingPool() {
    for (int i = 0; i < CLASSES; i++) {
      idle.add(new ArrayDeque<>());
    }
  }

  /** A buffer of at least {@code bytes} bytes, whatever is in them. */
  Buffer take(long bytes) {
    int sizeClass = Math.max(0, Long.SIZE - Long.numberOfLeadingZeros(bytes - 1) - SMALLEST);
    Buffer found = idle.get(sizeClass).pollLast();
    if (found != null) {
      idleBytes -= found.segment.byteSize();
      return found;
    }
    Arena arena = Arena.ofConfined();
    return new Buffer(arena, arena.allocate(1L << (sizeClass + SMALLEST), ALIGNMENT), sizeClass);
  }

  /** Takes a buffer back. */
  void give(Buffer buffer) {
    long bytes = buffer.segment.byteSize();
    if (idleBytes + bytes > KEPT_BYTES) {
      buffer.arena.close();
      return;
    }
    idleBytes += bytes;
    idle.get(buffer.sizeClass).addLast(buffer);
  }

  /** Frees the idle buffers. */
  @Override
  public void close() {
    for (ArrayDeque<Buffer> buffers : idle) {
      buffers.forEach(buffer -> buffer.arena.close());
      buffers.clear();
    }
    idleBytes = 0;
  }
}
