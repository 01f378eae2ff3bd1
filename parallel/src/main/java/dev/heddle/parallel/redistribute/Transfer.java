package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.layout.Interval;
import java.util.List;

/**
 * One message of a plan: some rows, an interval of their features, from one rank to another. A
 * transfer of a rank to itself is a local copy and costs no link.
 *
 * @param from the sender
 * @param to the receiver
 * @param features the global features
 * @param sourceColumn the column of the sender's buffer where {@code features.start()} lies
 * @param targetColumn the column of the receiver's buffer where {@code features.start()} goes
 * @param accumulate whether the receiver adds the elements to what is there, instead of writing
 *     them
 * @param pieces the rows, ascending, not touching in all of row and both places
 */
public record Transfer(
    int from,
    int to,
    Interval features,
    long sourceColumn,
    long targetColumn,
    boolean accumulate,
    List<RowPiece> pieces) {
  /** Takes a copy of the pieces. */
  public Transfer {
    pieces = List.copyOf(pieces);
  }

  /** Whether sender and receiver are the same rank. */
  public boolean isLocal() {
    return from == to;
  }

  /** The number of rows. */
  public long rows() {
    long rows = 0;
    for (RowPiece piece : pieces) {
      rows += piece.rows();
    }
    return rows;
  }

  /** The number of elements: rows x features. */
  public long elements() {
    return rows() * features.size();
  }
}
