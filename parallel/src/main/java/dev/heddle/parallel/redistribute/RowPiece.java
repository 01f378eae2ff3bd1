package dev.heddle.parallel.redistribute;

/**
 * Consecutive global rows that lie in consecutive places on both sides of a transfer.
 *
 * @param start the first global row
 * @param end one past the last global row
 * @param sourcePlace the row of the sender's buffer where {@code start} lies
 * @param targetPlace the row of the receiver's buffer where {@code start} goes
 */
public record RowPiece(long start, long end, long sourcePlace, long targetPlace) {
  /** The number of rows. */
  public long rows() {
    return end - start;
  }
}
