package dev.heddle.nn;

/**
 * The interval of {@code total} equal things (heads, hidden units, vocabulary entries) that a rank
 * holds.
 *
 * @param start the first one here
 * @param size how many are here
 * @param total how many there are
 */
public record Part(long start, long size, long total) {
  /** Refuses an interval that is not within {@code total}. */
  public Part {
    if (start < 0 || size < 0 || start + size > total) {
      throw new IllegalArgumentException(
          "Part: " + size + " from " + start + " on are not within " + total);
    }
  }

  /** All of {@code total}. */
  public static Part whole(long total) {
    return new Part(0, total, total);
  }

  /** Whether nothing is elsewhere. */
  public boolean isWhole() {
    return size == total;
  }

  /** One after the last. */
  public long end() {
    return start + size;
  }

  /** The same interval in a finer unit, such as the features of whole heads. */
  public Part times(long unit) {
    return new Part(start * unit, size * unit, total * unit);
  }
}
