package dev.heddle.parallel.trace;

import java.util.function.LongConsumer;

/**
 * Records of a fixed number of longs, the first of which is the step: the earliest ones and the
 * latest ones of a run, each as many as fit in half of the buffer. Records are numbered from 0;
 * those in between are lost, and the buffer knows of which steps they were.
 */
final class TraceBuffer {
  private final int width;
  private final int half;
  private final long[] data;
  private long count;
  private long firstLostStep = Long.MAX_VALUE;
  private long lastLostStep = Long.MIN_VALUE;

  TraceBuffer(int width, int half) {
    this.width = width;
    this.half = half;
    this.data = new long[2 * half * width];
  }

  /** Begins a record; returns the place of its first long in {@link #data()}. */
  int add(long step) {
    int at = place(count);
    if (count >= 2L * half) {
      firstLostStep = Math.min(firstLostStep, data[at]);
      lastLostStep = Math.max(lastLostStep, data[at]);
    }
    count++;
    data[at] = step;
    return at;
  }

  private int place(long index) {
    return width * (int) (index < half ? index : half + (index - half) % half);
  }

  /** The place of record {@code index}, or -1 if it is lost. */
  int find(long index) {
    boolean kept = index < half || index >= count - half;
    return kept && index < count ? place(index) : -1;
  }

  long[] data() {
    return data;
  }

  long count() {
    return count;
  }

  /** The first step with a lost record, or the largest long. */
  long firstLostStep() {
    return firstLostStep;
  }

  /** The last step with a lost record, or the smallest long. */
  long lastLostStep() {
    return lastLostStep;
  }

  /** The numbers of the records that are still there, in order. */
  void forEach(LongConsumer action) {
    for (long i = 0; i < Math.min(count, half); i++) {
      action.accept(i);
    }
    for (long i = Math.max(half, count - half); i < count; i++) {
      action.accept(i);
    }
  }
}
