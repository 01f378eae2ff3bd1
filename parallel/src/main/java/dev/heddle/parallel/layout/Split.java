package dev.heddle.parallel.layout;

/**
 * Cuts n items into k parts that need not be equal: the first {@code n % k} parts get one item more
 * (numpy's {@code array_split}). With fewer items than parts the last parts are empty.
 */
public final class Split {
  private Split() {}

  /** The items of part {@code index} of {@code parts} consecutive parts of 0 to n - 1. */
  public static Interval part(long n, int parts, int index) {
    check(n, parts, index);
    return new Interval(offset(n, parts, index), offset(n, parts, index + 1));
  }

  /**
   * The items of part {@code index} in zigzag order: of 2 * parts consecutive chunks, chunk {@code
   * index} and chunk {@code 2 * parts - 1 - index}.
   */
  public static Intervals zigzag(long n, int parts, int index) {
    check(n, parts, index);
    int chunks = 2 * parts;
    int late = chunks - 1 - index;
    return Intervals.of(
        offset(n, chunks, index),
        offset(n, chunks, index + 1),
        offset(n, chunks, late),
        offset(n, chunks, late + 1));
  }

  /** Part {@code index} of a set, cut by the index of its items in ascending order. */
  public static Intervals part(Intervals whole, int parts, int index, Arrangement arrangement) {
    long n = whole.size();
    return switch (arrangement) {
      case CONTIGUOUS -> {
        Interval part = part(n, parts, index);
        yield whole.slice(part.start(), part.end());
      }
      case ZIGZAG -> {
        Intervals chosen = zigzag(n, parts, index);
        Intervals items = Intervals.EMPTY;
        for (int i = 0; i < chosen.count(); i++) {
          items = items.union(whole.slice(chosen.start(i), chosen.end(i)));
        }
        yield items;
      }
    };
  }

  private static long offset(long n, int parts, int index) {
    return n / parts * index + Math.min(n % parts, index);
  }

  private static void check(long n, int parts, int index) {
    if (n < 0 || parts < 1 || index < 0 || index >= parts) {
      throw new IllegalArgumentException(
          "split: got part "
              + index
              + " of "
              + parts
              + " of "
              + n
              + " items, wanted 0 <= part < parts and items >= 0");
    }
  }
}
