package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import org.jspecify.annotations.Nullable;

/**
 * Combines the same elements of several arrays in the order of the arrays, a chunk at a time. A
 * chunk is read from all sources before it is written anywhere, so a destination may be one of
 * them.
 */
public final class Reducer {
  private final @Nullable Accumulator[] accumulators = new Accumulator[DType.values().length];

  /**
   * Writes the reduction of the first {@code sourceCount} of {@code sources} to the first {@code
   * destinationCount} of {@code destinations}.
   *
   * @param elements how many elements to go on from where the cursors are
   */
  public void reduce(
      RunCursor[] sources,
      int sourceCount,
      RunCursor[] destinations,
      int destinationCount,
      long elements,
      DType dtype,
      ReduceOp op) {
    Accumulator accumulator = accumulator(dtype);
    long left = elements;
    while (left > 0) {
      long count = Math.min(left, Accumulator.CHUNK);
      for (int i = 0; i < sourceCount; i++) {
        count = Math.min(count, sources[i].available());
      }
      for (int i = 0; i < destinationCount; i++) {
        count = Math.min(count, destinations[i].available());
      }
      int n = (int) count;
      accumulator.first(sources[0].segment(), sources[0].byteOffset(), n);
      sources[0].advance(n);
      for (int i = 1; i < sourceCount; i++) {
        accumulator.next(sources[i].segment(), sources[i].byteOffset(), n, op);
        sources[i].advance(n);
      }
      for (int i = 0; i < destinationCount; i++) {
        accumulator.store(destinations[i].segment(), destinations[i].byteOffset(), n);
        destinations[i].advance(n);
      }
      left -= n;
    }
  }

  private Accumulator accumulator(DType dtype) {
    Accumulator found = accumulators[dtype.ordinal()];
    if (found == null) {
      found = Accumulator.of(dtype);
      accumulators[dtype.ordinal()] = found;
    }
    return found;
  }

  // ---- numbers on the Java heap

  /** {@code a} and {@code b} combined. */
  public static double combine(double a, double b, ReduceOp op) {
    return switch (op) {
      case SUM -> a + b;
      case MAX -> Math.max(a, b);
      case MIN -> Math.min(a, b);
    };
  }

  /** {@code a} and {@code b} combined. */
  public static long combine(long a, long b, ReduceOp op) {
    return switch (op) {
      case SUM -> a + b;
      case MAX -> Math.max(a, b);
      case MIN -> Math.min(a, b);
    };
  }
}
