package dev.heddle.parallel.layout;

import java.util.Arrays;
import java.util.StringJoiner;

/**
 * A set of integers as sorted, disjoint, non-touching intervals. Set operations cost the number of
 * intervals, not of integers. Immutable.
 */
public final class Intervals {
  /** The empty set. */
  public static final Intervals EMPTY = new Intervals(new long[0]);

  /** start0, end0, start1, end1, ... strictly increasing. */
  private final long[] bounds;

  private Intervals(long[] bounds) {
    this.bounds = bounds;
  }

  /**
   * The set of the given intervals, as {@code start0, end0, start1, end1, ...} in ascending order;
   * empty ones are dropped and touching ones joined.
   *
   * @throws IllegalArgumentException when the numbers are odd in number or descend
   */
  public static Intervals of(long... bounds) {
    if (bounds.length % 2 != 0) {
      throw new IllegalArgumentException(
          "intervals: got "
              + bounds.length
              + " bounds, wanted an even number: start and end of each");
    }
    Builder builder = new Builder();
    for (int i = 0; i < bounds.length; i += 2) {
      builder.add(bounds[i], bounds[i + 1]);
    }
    return builder.build();
  }

  /** The set of one interval. */
  public static Intervals of(Interval interval) {
    return of(interval.start(), interval.end());
  }

  /** The number of intervals. */
  public int count() {
    return bounds.length / 2;
  }

  /** The first integer of interval {@code index}. */
  public long start(int index) {
    return bounds[2 * index];
  }

  /** One past the last integer of interval {@code index}. */
  public long end(int index) {
    return bounds[2 * index + 1];
  }

  /** The number of integers. */
  public long size() {
    long size = 0;
    for (int i = 0; i < count(); i++) {
      size += end(i) - start(i);
    }
    return size;
  }

  /** Whether there are none. */
  public boolean isEmpty() {
    return bounds.length == 0;
  }

  /** Whether the integer is in the set. */
  public boolean contains(long value) {
    int index = firstEndingAfter(value);
    return index < count() && start(index) <= value;
  }

  /** Whether every integer of the other set is in this one. */
  public boolean containsAll(Intervals other) {
    return other.subtract(this).isEmpty();
  }

  /** The index of the first interval that ends after the value; {@link #count()} if none does. */
  public int firstEndingAfter(long value) {
    int low = 0;
    int high = count();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (end(middle) > value) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  /** The integers in both sets. */
  public Intervals intersect(Intervals other) {
    Builder builder = new Builder();
    int mine = 0;
    int theirs = 0;
    while (mine < count() && theirs < other.count()) {
      long low = Math.max(start(mine), other.start(theirs));
      long high = Math.min(end(mine), other.end(theirs));
      if (low < high) {
        builder.add(low, high);
      }
      if (end(mine) < other.end(theirs)) {
        mine++;
      } else {
        theirs++;
      }
    }
    return builder.build();
  }

  /** The integers in this set and not in the other. */
  public Intervals subtract(Intervals other) {
    Builder builder = new Builder();
    int theirs = 0;
    for (int mine = 0; mine < count(); mine++) {
      long low = start(mine);
      while (theirs < other.count() && other.end(theirs) <= low) {
        theirs++;
      }
      int next = theirs;
      while (next < other.count() && other.start(next) < end(mine)) {
        builder.add(low, Math.max(low, other.start(next)));
        low = Math.max(low, other.end(next));
        next++;
      }
      builder.add(low, Math.max(low, end(mine)));
    }
    return builder.build();
  }

  /** The integers in at least one of the sets. */
  public Intervals union(Intervals other) {
    Builder builder = new Builder();
    int mine = 0;
    int theirs = 0;
    while (mine < count() || theirs < other.count()) {
      if (theirs == other.count() || (mine < count() && start(mine) <= other.start(theirs))) {
        builder.add(start(mine), end(mine));
        mine++;
      } else {
        builder.add(other.start(theirs), other.end(theirs));
        theirs++;
      }
    }
    return builder.build();
  }

  /** The integers whose index in ascending order is from {@code from} up to, not including, to. */
  public Intervals slice(long from, long to) {
    if (from < 0 || to < from || to > size()) {
      throw new IllegalArgumentException(
          "intervals: got slice [" + from + "," + to + ") of " + size() + " integers");
    }
    Builder builder = new Builder();
    long index = 0;
    for (int i = 0; i < count() && index < to; i++) {
      long length = end(i) - start(i);
      long low = Math.max(from, index);
      long high = Math.min(to, index + length);
      if (low < high) {
        builder.add(start(i) + low - index, start(i) + high - index);
      }
      index += length;
    }
    return builder.build();
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Intervals intervals && Arrays.equals(bounds, intervals.bounds);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bounds);
  }

  /** For example {@code [0,3) [5,7)}; {@code none} when empty. */
  @Override
  public String toString() {
    StringJoiner joiner = new StringJoiner(" ");
    joiner.setEmptyValue("none");
    for (int i = 0; i < count(); i++) {
      joiner.add("[" + start(i) + "," + end(i) + ")");
    }
    return joiner.toString();
  }

  /** Collects intervals in ascending order of their start; joins those that touch or overlap. */
  public static final class Builder {
    private long[] bounds = new long[8];
    private int length;

    /** Begins with the empty set. */
    public Builder() {}

    /** Adds an interval that starts no earlier than the one added last; an empty one is dropped. */
    public Builder add(long start, long end) {
      if (end < start || (length > 0 && start < bounds[length - 2])) {
        throw new IllegalArgumentException(
            "intervals: got ["
                + start
                + ","
                + end
                + (length > 0 ? ") after [" + bounds[length - 2] + "," + bounds[length - 1] : "")
                + "), wanted ascending starts and start <= end");
      }
      if (end == start) {
        return this;
      }
      if (length > 0 && start <= bounds[length - 1]) {
        bounds[length - 1] = Math.max(bounds[length - 1], end);
        return this;
      }
      if (length == bounds.length) {
        bounds = Arrays.copyOf(bounds, 2 * length);
      }
      bounds[length++] = start;
      bounds[length++] = end;
      return this;
    }

    /** The set of what was added. */
    public Intervals build() {
      return length == 0 ? EMPTY : new Intervals(Arrays.copyOf(bounds, length));
    }
  }
}
