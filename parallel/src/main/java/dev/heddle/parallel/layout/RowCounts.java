package dev.heddle.parallel.layout;

import java.util.Arrays;

/**
 * How many rows each item of each sample has; the identity of rows on both sides of a boundary.
 *
 * <p>A row is one token that crosses a boundary, known by (sample, item, position): the position-th
 * patch of the item-th picture of a sample. Rows are numbered through in that order, so a row is
 * also one number, its <em>global row</em>. A sample may have no item and an item no row. Both
 * sides of a boundary must be given equal counts; nothing is ever inferred from the shape of a
 * tensor. Immutable.
 */
public final class RowCounts {
  /** First item of each sample, and one entry past the last. */
  private final int[] firstItem;

  /** First global row of each item, and one entry past the last. */
  private final long[] firstRow;

  private RowCounts(int[] firstItem, long[] firstRow) {
    this.firstItem = firstItem;
    this.firstRow = firstRow;
  }

  /** Every sample has one item with the given number of rows. */
  public static RowCounts perSample(int... rows) {
    int[][] items = new int[rows.length][];
    for (int sample = 0; sample < rows.length; sample++) {
      items[sample] = new int[] {rows[sample]};
    }
    return perItem(items);
  }

  /** Sample s has {@code rows[s].length} items, and its item i has {@code rows[s][i]} rows. */
  public static RowCounts perItem(int[]... rows) {
    int[] firstItem = new int[rows.length + 1];
    for (int sample = 0; sample < rows.length; sample++) {
      firstItem[sample + 1] = firstItem[sample] + rows[sample].length;
    }
    long[] firstRow = new long[firstItem[rows.length] + 1];
    int item = 0;
    for (int sample = 0; sample < rows.length; sample++) {
      for (int count : rows[sample]) {
        if (count < 0) {
          throw new IllegalArgumentException(
              "row counts: got "
                  + count
                  + " rows for an item of sample "
                  + sample
                  + ", wanted 0 or more");
        }
        firstRow[item + 1] = firstRow[item] + count;
        item++;
      }
    }
    return new RowCounts(firstItem, firstRow);
  }

  /** The number of samples. */
  public int sampleCount() {
    return firstItem.length - 1;
  }

  /** The number of items of all samples. */
  public int itemCount() {
    return firstRow.length - 1;
  }

  /** The number of rows of all samples. */
  public long rowCount() {
    return firstRow[itemCount()];
  }

  /** The number of items of a sample. */
  public int itemCount(int sample) {
    return firstItem[sample + 1] - firstItem[sample];
  }

  /** The global rows of a sample. */
  public Interval rowsOfSample(int sample) {
    return new Interval(firstRow[firstItem[sample]], firstRow[firstItem[sample + 1]]);
  }

  /** The global rows of an item, counted through all samples. */
  public Interval rowsOfItem(int item) {
    return new Interval(firstRow[item], firstRow[item + 1]);
  }

  /** The global row at (sample, item, position). */
  public long row(int sample, int item, int position) {
    Interval rows = rowsOfItem(firstItem[sample] + item);
    if (item >= itemCount(sample) || position < 0 || position >= rows.size()) {
      throw new IllegalArgumentException(
          "row counts: got item "
              + item
              + " position "
              + position
              + " of sample "
              + sample
              + ", which has "
              + itemCount(sample)
              + " items");
    }
    return rows.start() + position;
  }

  /** Where a global row is, for messages: for example {@code sample 2 item 0 position 5}. */
  public String describe(long row) {
    if (row < 0 || row >= rowCount()) {
      return "outside the " + rowCount() + " rows";
    }
    int item = Arrays.binarySearch(firstRow, row);
    if (item < 0) {
      item = -item - 2;
    }
    while (firstRow[item + 1] <= row) {
      item++;
    }
    int sample = 0;
    while (firstItem[sample + 1] <= item) {
      sample++;
    }
    return "sample "
        + sample
        + " item "
        + (item - firstItem[sample])
        + " position "
        + (row - firstRow[item]);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof RowCounts counts
        && Arrays.equals(firstItem, counts.firstItem)
        && Arrays.equals(firstRow, counts.firstRow);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(firstItem) + Arrays.hashCode(firstRow);
  }

  @Override
  public String toString() {
    return rowCount() + " rows in " + itemCount() + " items of " + sampleCount() + " samples";
  }
}
