package dev.heddle.ops;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/**
 * Which rows of a matrix are replaced by which of others: what {@link PlaceRows} needs on the
 * device. Made once for a batch, on the host, where the positions come from.
 *
 * @param rows [n] I64: where each value goes; negative for nowhere
 * @param kept [R] I64: r where row r keeps its own values, -1 where it is replaced
 */
public record RowPlacement(NDArray rows, NDArray kept) {
  /**
   * The placement of {@code rows.length} values in a matrix of {@code rowCount} rows.
   *
   * @param rows the row that each value goes to, negative to leave it out
   * @throws IllegalArgumentException if a row is named twice or is not below {@code rowCount}
   */
  public static RowPlacement of(Device device, long rowCount, long... rows) {
    long[] kept = new long[Math.toIntExact(rowCount)];
    for (int r = 0; r < kept.length; r++) {
      kept[r] = r;
    }
    for (int i = 0; i < rows.length; i++) {
      long row = rows[i];
      if (row < 0) {
        continue;
      }
      if (row >= rowCount) {
        throw new IllegalArgumentException(
            "RowPlacement: value "
                + i
                + " goes to row "
                + row
                + "; wanted a row below "
                + rowCount);
      }
      if (kept[(int) row] < 0) {
        throw new IllegalArgumentException(
            "RowPlacement: value "
                + i
                + " goes to row "
                + row
                + ", which an earlier value"
                + " replaces already; wanted each row at most once");
      }
      kept[(int) row] = -1;
    }
    return new RowPlacement(
        NDArray.of(device, Shape.of(rows.length), rows),
        NDArray.of(device, Shape.of(rowCount), kept));
  }
}
