package dev.heddle.parallel.layout;

/**
 * What one rank holds of a value of rows x features: some rows, and of each of them the same
 * interval of features, in a row-major local buffer of {@code bufferRows x features.size()}.
 *
 * @param rank the rank
 * @param runs the rows and their places in the buffer
 * @param features the features
 * @param summand which summand of the value this is, from 0; ranks with the same summand hold equal
 *     bytes where their rows and features overlap, ranks with different ones hold values to be
 *     added
 * @param lane which data lane the rank is in: the ranks of a lane have the same samples
 * @param bufferRows the rows of the local buffer; more than the rows held when the buffer also has
 *     places for other rows, such as text
 */
public record Holding(
    int rank, RowRuns runs, Interval features, int summand, int lane, long bufferRows) {

  /** The number of elements held. */
  public long elements() {
    return runs.size() * features.size();
  }

  /** The same places in the same buffer, for those rows only that are also in the given set. */
  public Holding restrictTo(Intervals rows) {
    return new Holding(rank, runs.restrictTo(rows), features, summand, lane, bufferRows);
  }
}
