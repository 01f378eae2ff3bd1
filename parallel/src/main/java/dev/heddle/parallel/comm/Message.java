package dev.heddle.parallel.comm;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * One message of a {@link Communicator#exchange}: elements of an array that go to a peer, or come
 * from one. A message is a sequence of elements, those of the array in row-major order; the two
 * ends need the same dtype and the same number of elements, not the same shape or strides.
 *
 * <p>Rows can be picked: then the message is the given row intervals, in the order given, of a
 * column interval of a matrix. So one message carries what a peer needs of an array, however it is
 * scattered, and neither side packs.
 */
public final class Message {
  private final boolean send;
  private final int peer;
  private final NDArray array;

  // What whoever copies the message has to know of the array, kept here: in one process the thread
  // at the other end would else fetch four more objects from this one's core.
  private final DType dtype;
  private final long firstElement;
  private final long rowStride;
  private final long columnStride;

  private final long @Nullable [] rowBounds;
  private final long firstColumn;
  private final long columnCount;
  private final long elementCount;

  private Message(
      boolean send,
      int peer,
      NDArray array,
      long @Nullable [] rowBounds,
      long firstColumn,
      long columnCount,
      long elementCount) {
    this.send = send;
    this.peer = peer;
    this.array = array;
    this.dtype = array.dtype();
    this.firstElement = array.offset();
    this.rowStride = rowBounds == null ? 0 : array.stride(0);
    this.columnStride = rowBounds == null ? 0 : array.stride(1);
    this.rowBounds = rowBounds;
    this.firstColumn = firstColumn;
    this.columnCount = columnCount;
    this.elementCount = elementCount;
  }

  /** All elements of {@code array}, a view of any strides, go to member {@code peer}. */
  public static Message send(int peer, NDArray array) {
    return new Message(true, peer, array, null, 0, 0, array.size());
  }

  /** All elements of {@code array}, a view of any strides, come from member {@code peer}. */
  public static Message receive(int peer, NDArray array) {
    return new Message(false, peer, array, null, 0, 0, array.size());
  }

  /**
   * Rows of a matrix [R,C] go to member {@code peer}.
   *
   * @param rowBounds start0, end0, start1, end1, ...: row intervals in the order they are sent; not
   *     copied, so it must not change
   * @param firstColumn the first column that is sent
   * @param columnCount how many columns are sent
   */
  public static Message sendRows(
      int peer, NDArray matrix, long[] rowBounds, long firstColumn, long columnCount) {
    return rows(true, peer, matrix, rowBounds, firstColumn, columnCount);
  }

  /** Rows of a matrix come from member {@code peer}; see {@link #sendRows}. */
  public static Message receiveRows(
      int peer, NDArray matrix, long[] rowBounds, long firstColumn, long columnCount) {
    return rows(false, peer, matrix, rowBounds, firstColumn, columnCount);
  }

  private static Message rows(
      boolean send,
      int peer,
      NDArray matrix,
      long[] rowBounds,
      long firstColumn,
      long columnCount) {
    if (matrix.rank() != 2 || rowBounds.length % 2 != 0) {
      throw new IllegalArgumentException(
          "Message: rows are picked from a matrix by start and end of each interval, got "
              + matrix
              + " and "
              + rowBounds.length
              + " bounds");
    }
    if (firstColumn < 0 || columnCount < 0 || firstColumn + columnCount > matrix.dim(1)) {
      throw new IllegalArgumentException(
          "Message: columns ["
              + firstColumn
              + ","
              + (firstColumn + columnCount)
              + ") are not within "
              + matrix);
    }
    long rows = 0;
    for (int i = 0; i < rowBounds.length; i += 2) {
      if (rowBounds[i] < 0 || rowBounds[i + 1] < rowBounds[i] || rowBounds[i + 1] > matrix.dim(0)) {
        throw new IllegalArgumentException(
            "Message: rows ["
                + rowBounds[i]
                + ","
                + rowBounds[i + 1]
                + ") are not within "
                + matrix);
      }
      rows += rowBounds[i + 1] - rowBounds[i];
    }
    return new Message(send, peer, matrix, rowBounds, firstColumn, columnCount, rows * columnCount);
  }

  /** The same message, of the array's memory as it is {@linkplain NDArray#ofNow() now}. */
  public Message ofNow() {
    return new Message(
        send, peer, array.ofNow(), rowBounds, firstColumn, columnCount, elementCount);
  }

  /** Whether the elements leave this rank; else they come in. */
  public boolean isSend() {
    return send;
  }

  /** The member of the group at the other end; may be this rank itself. */
  public int peer() {
    return peer;
  }

  /** The array that the elements are in. */
  public NDArray array() {
    return array;
  }

  /** The type of the elements. */
  public DType dtype() {
    return dtype;
  }

  /** How many elements the message has. */
  public long elementCount() {
    return elementCount;
  }

  /** How many bytes the message has. */
  public long byteCount() {
    return elementCount * dtype.byteSize();
  }

  /** The picked row intervals as start0, end0, ..., or null for the whole array. Not a copy. */
  public long @Nullable [] rowBounds() {
    return rowBounds;
  }

  /** Elements from the start of the array's block to the array's first. */
  public long firstElement() {
    return firstElement;
  }

  /** Elements from a picked row to the next one of the array; 0 for the whole array. */
  public long rowStride() {
    return rowStride;
  }

  /** Elements from a picked column to the next one of the array; 0 for the whole array. */
  public long columnStride() {
    return columnStride;
  }

  /** The first picked column; 0 for the whole array. */
  public long firstColumn() {
    return firstColumn;
  }

  /** The number of picked columns; 0 for the whole array. */
  public long columnCount() {
    return columnCount;
  }

  /** For example {@code send of F32 x 12 to member 1}. */
  @Override
  public String toString() {
    return (send ? "send of " : "receive of ")
        + dtype()
        + " x "
        + elementCount
        + (send ? " to member " : " from member ")
        + peer;
  }
}
