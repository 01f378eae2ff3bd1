package dev.heddle.parallel.comm.local;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Combines the same elements of several arrays in the order of the arrays. Works through chunks that
 * fit the first-level cache: a chunk is summed up in scratch memory and then copied to each
 * destination, so a destination may be one of the sources. One loop for each dtype and operation,
 * because the compiler vectorises plain loops but not calls through a common operator.
 */
final class Reducer {
  private static final int CHUNK = 2048;

  // Freed by the garbage collector with the rank: 16 KiB, so nothing to manage.
  private final MemorySegment scratch = Arena.ofAuto().allocate(CHUNK * 8L, 64);

  /**
   * Writes the reduction of {@code sources} to every destination.
   *
   * @param elements how many elements to go on from where the cursors are
   */
  void reduce(
      RunCursor[] sources,
      int sourceCount,
      RunCursor[] destinations,
      int destinationCount,
      long elements,
      DType dtype,
      ReduceOp op) {
    long left = elements;
    while (left > 0) {
      long count = Math.min(left, CHUNK);
      for (int i = 0; i < sourceCount; i++) {
        count = Math.min(count, sources[i].available());
      }
      for (int i = 0; i < destinationCount; i++) {
        count = Math.min(count, destinations[i].available());
      }
      int n = (int) count;
      if (dtype == DType.BF16) {
        reduceBf16(sources, sourceCount, destinations, destinationCount, n, op);
      } else {
        reduceChunk(sources, sourceCount, destinations, destinationCount, n, dtype, op);
      }
      for (int i = 0; i < sourceCount; i++) {
        sources[i].advance(n);
      }
      for (int i = 0; i < destinationCount; i++) {
        destinations[i].advance(n);
      }
      left -= n;
    }
  }

  private void reduceChunk(
      RunCursor[] sources,
      int sourceCount,
      RunCursor[] destinations,
      int destinationCount,
      int n,
      DType dtype,
      ReduceOp op) {
    MemorySegment from = sources[0].segment();
    long offset = sources[0].byteOffset();
    for (int i = 1; i < sourceCount; i++) {
      RunCursor next = sources[i];
      combine(from, offset, next.segment(), next.byteOffset(), scratch, n, dtype, op);
      from = scratch;
      offset = 0;
    }
    long bytes = (long) n * dtype.byteSize();
    for (int i = 0; i < destinationCount; i++) {
      RunCursor to = destinations[i];
      if (to.segment() != from || to.byteOffset() != offset) {
        MemorySegment.copy(from, offset, to.segment(), to.byteOffset(), bytes);
      }
    }
  }

  private static void combine(
      MemorySegment a,
      long aOffset,
      MemorySegment b,
      long bOffset,
      MemorySegment y,
      int n,
      DType dtype,
      ReduceOp op) {
    switch (dtype) {
      case F32 -> {
        switch (op) {
          case SUM -> sumF32(a, aOffset, b, bOffset, y, n);
          case MAX -> maxF32(a, aOffset, b, bOffset, y, n);
          case MIN -> minF32(a, aOffset, b, bOffset, y, n);
        }
      }
      case F64 -> {
        switch (op) {
          case SUM -> sumF64(a, aOffset, b, bOffset, y, n);
          case MAX -> maxF64(a, aOffset, b, bOffset, y, n);
          case MIN -> minF64(a, aOffset, b, bOffset, y, n);
        }
      }
      case I32 -> {
        switch (op) {
          case SUM -> sumI32(a, aOffset, b, bOffset, y, n);
          case MAX -> maxI32(a, aOffset, b, bOffset, y, n);
          case MIN -> minI32(a, aOffset, b, bOffset, y, n);
        }
      }
      case I64 -> {
        switch (op) {
          case SUM -> sumI64(a, aOffset, b, bOffset, y, n);
          case MAX -> maxI64(a, aOffset, b, bOffset, y, n);
          case MIN -> minI64(a, aOffset, b, bOffset, y, n);
        }
      }
      case BF16, U8 ->
          throw new IllegalArgumentException("no direct reduction of " + dtype);
    }
  }

  /** Combines in F32 and rounds once. */
  private void reduceBf16(
      RunCursor[] sources,
      int sourceCount,
      RunCursor[] destinations,
      int destinationCount,
      int n,
      ReduceOp op) {
    widen(sources[0].segment(), sources[0].byteOffset(), scratch, n);
    for (int i = 1; i < sourceCount; i++) {
      RunCursor next = sources[i];
      switch (op) {
        case SUM -> sumBf16(next.segment(), next.byteOffset(), scratch, n);
        case MAX -> maxBf16(next.segment(), next.byteOffset(), scratch, n);
        case MIN -> minBf16(next.segment(), next.byteOffset(), scratch, n);
      }
    }
    for (int i = 0; i < destinationCount; i++) {
      RunCursor to = destinations[i];
      if (i == 0) {
        round(scratch, to.segment(), to.byteOffset(), n);
      } else {
        RunCursor first = destinations[0];
        MemorySegment.copy(
            first.segment(), first.byteOffset(), to.segment(), to.byteOffset(), 2L * n);
      }
    }
  }

  // ---- F32

  private static void sumF32(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 4L; i += 4) {
      y.set(JAVA_FLOAT, i, a.get(JAVA_FLOAT, aOffset + i) + b.get(JAVA_FLOAT, bOffset + i));
    }
  }

  private static void maxF32(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 4L; i += 4) {
      y.set(
          JAVA_FLOAT, i, Math.max(a.get(JAVA_FLOAT, aOffset + i), b.get(JAVA_FLOAT, bOffset + i)));
    }
  }

  private static void minF32(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 4L; i += 4) {
      y.set(
          JAVA_FLOAT, i, Math.min(a.get(JAVA_FLOAT, aOffset + i), b.get(JAVA_FLOAT, bOffset + i)));
    }
  }

  // ---- F64

  private static void sumF64(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 8L; i += 8) {
      y.set(JAVA_DOUBLE, i, a.get(JAVA_DOUBLE, aOffset + i) + b.get(JAVA_DOUBLE, bOffset + i));
    }
  }

  private static void maxF64(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 8L; i += 8) {
      double left = a.get(JAVA_DOUBLE, aOffset + i);
      y.set(JAVA_DOUBLE, i, Math.max(left, b.get(JAVA_DOUBLE, bOffset + i)));
    }
  }

  private static void minF64(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 8L; i += 8) {
      double left = a.get(JAVA_DOUBLE, aOffset + i);
      y.set(JAVA_DOUBLE, i, Math.min(left, b.get(JAVA_DOUBLE, bOffset + i)));
    }
  }

  // ---- I32

  private static void sumI32(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 4L; i += 4) {
      y.set(JAVA_INT, i, a.get(JAVA_INT, aOffset + i) + b.get(JAVA_INT, bOffset + i));
    }
  }

  private static void maxI32(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 4L; i += 4) {
      y.set(JAVA_INT, i, Math.max(a.get(JAVA_INT, aOffset + i), b.get(JAVA_INT, bOffset + i)));
    }
  }

  private static void minI32(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 4L; i += 4) {
      y.set(JAVA_INT, i, Math.min(a.get(JAVA_INT, aOffset + i), b.get(JAVA_INT, bOffset + i)));
    }
  }

  // ---- I64

  private static void sumI64(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 8L; i += 8) {
      y.set(JAVA_LONG, i, a.get(JAVA_LONG, aOffset + i) + b.get(JAVA_LONG, bOffset + i));
    }
  }

  private static void maxI64(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 8L; i += 8) {
      y.set(JAVA_LONG, i, Math.max(a.get(JAVA_LONG, aOffset + i), b.get(JAVA_LONG, bOffset + i)));
    }
  }

  private static void minI64(
      MemorySegment a, long aOffset, MemorySegment b, long bOffset, MemorySegment y, int n) {
    for (long i = 0; i < n * 8L; i += 8) {
      y.set(JAVA_LONG, i, Math.min(a.get(JAVA_LONG, aOffset + i), b.get(JAVA_LONG, bOffset + i)));
    }
  }

  // ---- BF16, y in F32

  private static float bf16(MemorySegment a, long offset, int index) {
    return DType.bf16ToFloat(a.get(JAVA_SHORT, offset + 2L * index));
  }

  private static void widen(MemorySegment a, long offset, MemorySegment y, int n) {
    for (int i = 0; i < n; i++) {
      y.set(JAVA_FLOAT, 4L * i, bf16(a, offset, i));
    }
  }

  private static void sumBf16(MemorySegment a, long offset, MemorySegment y, int n) {
    for (int i = 0; i < n; i++) {
      y.set(JAVA_FLOAT, 4L * i, y.get(JAVA_FLOAT, 4L * i) + bf16(a, offset, i));
    }
  }

  private static void maxBf16(MemorySegment a, long offset, MemorySegment y, int n) {
    for (int i = 0; i < n; i++) {
      y.set(JAVA_FLOAT, 4L * i, Math.max(y.get(JAVA_FLOAT, 4L * i), bf16(a, offset, i)));
    }
  }

  private static void minBf16(MemorySegment a, long offset, MemorySegment y, int n) {
    for (int i = 0; i < n; i++) {
      y.set(JAVA_FLOAT, 4L * i, Math.min(y.get(JAVA_FLOAT, 4L * i), bf16(a, offset, i)));
    }
  }

  private static void round(MemorySegment x, MemorySegment y, long offset, int n) {
    for (int i = 0; i < n; i++) {
      y.set(JAVA_SHORT, offset + 2L * i, DType.floatToBf16(x.get(JAVA_FLOAT, 4L * i)));
    }
  }

  // ---- numbers on the Java heap

  static double combine(double a, double b, ReduceOp op) {
    return switch (op) {
      case SUM -> a + b;
      case MAX -> Math.max(a, b);
      case MIN -> Math.min(a, b);
    };
  }

  static long combine(long a, long b, ReduceOp op) {
    return switch (op) {
      case SUM -> a + b;
      case MAX -> Math.max(a, b);
      case MIN -> Math.min(a, b);
    };
  }
}
