package dev.heddle.parallel.layout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.StringJoiner;

/**
 * The rows that a rank holds and where in its buffer each of them lies: runs of consecutive global
 * rows in consecutive places, sorted by global row. Immutable.
 */
public final class RowRuns {
  /** No rows. */
  public static final RowRuns NONE = new RowRuns(List.of());

  private final long[] starts;
  private final long[] ends;
  private final long[] places;
  private final int hash;

  private RowRuns(List<Run> sorted) {
    starts = sorted.stream().mapToLong(Run::start).toArray();
    ends = sorted.stream().mapToLong(Run::end).toArray();
    places = sorted.stream().mapToLong(Run::place).toArray();
    // The planner groups thousands of ranks by what they hold.
    hash = 31 * (31 * Arrays.hashCode(starts) + Arrays.hashCode(ends)) + Arrays.hashCode(places);
  }

  /**
   * Global rows {@code start} to {@code end - 1}, at places {@code place} and following.
   *
   * @param start the first global row
   * @param end one past the last global row
   * @param place where the first row lies in the local buffer, in rows
   */
  public record Run(long start, long end, long place) {}

  /** The rows in ascending order at places 0, 1, 2 and so on. */
  public static RowRuns packed(Intervals rows) {
    Builder builder = new Builder();
    long place = 0;
    for (int i = 0; i < rows.count(); i++) {
      builder.add(rows.start(i), rows.end(i), place);
      place += rows.end(i) - rows.start(i);
    }
    return builder.build();
  }

  /** The number of runs. */
  public int count() {
    return starts.length;
  }

  /** The first global row of a run. */
  public long start(int run) {
    return starts[run];
  }

  /** One past the last global row of a run. */
  public long end(int run) {
    return ends[run];
  }

  /** Where the first row of a run lies in the local buffer, in rows. */
  public long place(int run) {
    return places[run];
  }

  /** The number of rows. */
  public long size() {
    long size = 0;
    for (int run = 0; run < starts.length; run++) {
      size += ends[run] - starts[run];
    }
    return size;
  }

  /** The global rows, without their places. */
  public Intervals rows() {
    Intervals.Builder builder = new Intervals.Builder();
    for (int run = 0; run < starts.length; run++) {
      builder.add(starts[run], ends[run]);
    }
    return builder.build();
  }

  /** The places of a buffer of {@code bufferRows} rows that none of the rows lies at. */
  public Intervals freePlaces(long bufferRows) {
    Integer[] byPlace = new Integer[count()];
    Arrays.setAll(byPlace, run -> run);
    Arrays.sort(byPlace, Comparator.comparingLong(run -> places[run]));
    Intervals.Builder free = new Intervals.Builder();
    long next = 0;
    for (int run : byPlace) {
      free.add(next, places[run]);
      next = places[run] + ends[run] - starts[run];
    }
    return free.add(next, bufferRows).build();
  }

  /** The index of the run that has the row, or -1 when none has. */
  public int runOf(long row) {
    int found = Arrays.binarySearch(starts, row);
    int run = found >= 0 ? found : -found - 2;
    return run >= 0 && row < ends[run] ? run : -1;
  }

  /**
   * Where a global row lies in the local buffer.
   *
   * @throws IllegalArgumentException when the row is not held
   */
  public long placeOf(long row) {
    int run = runOf(row);
    if (run < 0) {
      throw new IllegalArgumentException("row runs: row " + row + " is not among " + this);
    }
    return places[run] + row - starts[run];
  }

  /** The same places, for those rows only that are also in the given set. */
  public RowRuns restrictTo(Intervals rows) {
    Builder builder = new Builder();
    for (int run = 0; run < starts.length; run++) {
      for (int i = rows.firstEndingAfter(starts[run]);
          i < rows.count() && rows.start(i) < ends[run];
          i++) {
        long low = Math.max(starts[run], rows.start(i));
        builder.add(low, Math.min(ends[run], rows.end(i)), places[run] + low - starts[run]);
      }
    }
    return builder.build();
  }

  @Override
  public boolean equals(Object other) {
    return this == other
        || (other instanceof RowRuns runs
            && hash == runs.hash
            && Arrays.equals(starts, runs.starts)
            && Arrays.equals(ends, runs.ends)
            && Arrays.equals(places, runs.places));
  }

  @Override
  public int hashCode() {
    return hash;
  }

  /** For example {@code [4,8)@0 [0,4)@4}: rows 4 to 7 at places 0 to 3. */
  @Override
  public String toString() {
    StringJoiner joiner = new StringJoiner(" ");
    joiner.setEmptyValue("none");
    for (int run = 0; run < starts.length; run++) {
      joiner.add("[" + starts[run] + "," + ends[run] + ")@" + places[run]);
    }
    return joiner.toString();
  }

  /** Collects runs in any order. */
  public static final class Builder {
    private final List<Run> runs = new ArrayList<>();

    /** Begins without runs. */
    public Builder() {}

    /** Adds a run; an empty one is dropped. */
    public Builder add(long start, long end, long place) {
      if (start < end) {
        runs.add(new Run(start, end, place));
      }
      return this;
    }

    /**
     * The runs, joined where both rows and places continue.
     *
     * @throws IllegalArgumentException when a row was added twice
     */
    public RowRuns build() {
      if (runs.isEmpty()) {
        return NONE;
      }
      runs.sort(Comparator.comparingLong(Run::start));
      List<Run> joined = new ArrayList<>();
      Run last = runs.getFirst();
      for (Run run : runs.subList(1, runs.size())) {
        if (run.start < last.end) {
          throw new IllegalArgumentException(
              "row runs: row " + run.start + " was added twice; a buffer holds a row once");
        }
        if (run.start == last.end && run.place == last.place + last.end - last.start) {
          last = new Run(last.start, run.end, last.place);
        } else {
          joined.add(last);
          last = run;
        }
      }
      joined.add(last);
      return new RowRuns(joined);
    }
  }
}
