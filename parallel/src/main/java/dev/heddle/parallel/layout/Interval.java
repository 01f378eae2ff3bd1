package dev.heddle.parallel.layout;

/**
 * The integers from {@code start} up to, not including, {@code end}.
 *
 * @param start the first one
 * @param end one past the last one; not below start
 */
public record Interval(long start, long end) {
  /** Refuses an end below the start. */
  public Interval {
    if (end < start) {
      throw new IllegalArgumentException(
          "interval: got [" + start + "," + end + "), wanted start <= end");
    }
  }

  /** How many integers there are. */
  public long size() {
    return end - start;
  }

  /** Whether there are none. */
  public boolean isEmpty() {
    return end == start;
  }

  /** Whether all of the other interval's integers are in this one. */
  public boolean containsAll(Interval other) {
    return other.isEmpty() || (start <= other.start && other.end <= end);
  }

  /** The integers in both; an empty interval when there are none. */
  public Interval intersect(Interval other) {
    long low = Math.max(start, other.start);
    return new Interval(low, Math.max(low, Math.min(end, other.end)));
  }

  @Override
  public String toString() {
    return "[" + start + "," + end + ")";
  }
}
