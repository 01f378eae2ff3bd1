package dev.heddle.train.config;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The ranks that a component runs on, ascending. Written as {@code 0-1}, {@code 3}, {@code 0,2} or
 * {@code 0-1,4}; the position in the set is the rank's coordinate in the component's mesh.
 *
 * @param ranks distinct, ascending, not negative, at least one
 */
public record RankSet(List<Integer> ranks) {
  /** What {@link #parse} accepts, for refusals. */
  static final String SYNTAX = "a range such as 0-1, one rank such as 3, or a list such as 0,2";

  /** Largest range: refuses a slip of the finger before it fills the memory. */
  static final int MAXIMUM = 1 << 20;

  /**
   * A set of ranks.
   *
   * @throws IllegalArgumentException when empty, negative, repeated or not ascending
   */
  public RankSet {
    ranks = List.copyOf(ranks);
    if (ranks.isEmpty()) {
      throw new IllegalArgumentException("no rank in it");
    }
    int last = -1;
    for (int rank : ranks) {
      if (rank < 0) {
        throw new IllegalArgumentException("rank " + rank + " is negative");
      }
      if (rank <= last) {
        throw new IllegalArgumentException(
            rank == last
                ? "rank " + rank + " is there twice"
                : "rank " + rank + " after rank " + last + " is not ascending");
      }
      last = rank;
    }
  }

  /**
   * The ranks {@code first} to {@code first + count - 1}.
   *
   * @throws IllegalArgumentException when {@code count} is below 1 or {@code first} below 0
   */
  public static RankSet range(int first, int count) {
    return new RankSet(IntStream.range(first, first + count).boxed().toList());
  }

  /**
   * Reads the written form.
   *
   * @throws IllegalArgumentException with the reason when the text is not a set of ranks
   */
  public static RankSet parse(String text) {
    List<Integer> ranks = new ArrayList<>();
    for (String part : text.split(",", -1)) {
      String[] ends = part.strip().split("-", -1);
      if (ends.length > 2) {
        throw new IllegalArgumentException("'" + part.strip() + "' is not a rank or a range");
      }
      int first = rank(ends[0], part);
      int last = ends.length == 1 ? first : rank(ends[1], part);
      if (last < first) {
        throw new IllegalArgumentException("the range " + part.strip() + " runs backwards");
      }
      if ((long) last - first >= MAXIMUM) {
        throw new IllegalArgumentException(
            "the range " + part.strip() + " holds more than " + MAXIMUM + " ranks");
      }
      for (int rank = first; rank <= last; rank++) {
        ranks.add(rank);
      }
    }
    return new RankSet(ranks);
  }

  private static int rank(String text, String part) {
    String digits = text.strip();
    if (!digits.matches("[0-9]{1,9}")) {
      throw new IllegalArgumentException("'" + part.strip() + "' is not a rank or a range");
    }
    return Integer.parseInt(digits);
  }

  /** How many ranks. */
  public int size() {
    return ranks.size();
  }

  /** The largest rank. */
  public int last() {
    return ranks.getLast();
  }

  /** Whether a rank belongs to the set. */
  public boolean contains(int rank) {
    return Collections.binarySearch(ranks, rank) >= 0;
  }

  /** The written form, ranges joined: {@code 0-1,4}. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder();
    int start = 0;
    while (start < ranks.size()) {
      int end = start;
      while (end + 1 < ranks.size() && ranks.get(end + 1) == ranks.get(end) + 1) {
        end++;
      }
      text.append(text.isEmpty() ? "" : ",").append(ranks.get(start));
      if (end > start) {
        text.append('-').append(ranks.get(end));
      }
      start = end + 1;
    }
    return text.toString();
  }
}
