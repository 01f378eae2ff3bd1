package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.RunCursor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Elements that one member has for another: of an array, of a message's picked rows, or of native
 * memory where they lie together.
 */
final class Piece {
  private final @Nullable NDArray array;
  private final @Nullable Message message;
  private final @Nullable MemorySegment memory;
  private final long start;
  private final long count;
  private final DType dtype;

  private Piece(
      @Nullable NDArray array,
      @Nullable Message message,
      @Nullable MemorySegment memory,
      long start,
      long count,
      DType dtype) {
    this.array = array;
    this.message = message;
    this.memory = memory;
    this.start = start;
    this.count = count;
    this.dtype = dtype;
  }

  /** All of an array. */
  static Piece of(NDArray array) {
    return new Piece(array, null, null, 0, array.size(), array.dtype());
  }

  /** Elements {@code start} to {@code start + count} of an array in row-major order. */
  static Piece of(NDArray array, long start, long count) {
    return new Piece(array, null, null, start, count, array.dtype());
  }

  /** The elements of a message. */
  static Piece of(Message message) {
    return new Piece(null, message, null, 0, message.elementCount(), message.dtype());
  }

  /** The first elements of native memory. */
  static Piece of(MemorySegment memory, DType dtype, long count) {
    return new Piece(null, null, memory, 0, count, dtype);
  }

  long count() {
    return count;
  }

  DType dtype() {
    return dtype;
  }

  /** The bytes that there are to move; none on a device that knows shapes only. */
  long bytes() {
    boolean some =
        (array == null || array.device().hasBytes())
            && (message == null || message.array().device().hasBytes());
    return some ? count * dtype.byteSize() : 0;
  }

  /** Puts a cursor on the first element; only where there are bytes. */
  void place(RunCursor cursor) {
    if (message != null) {
      cursor.start(message);
    } else if (array != null) {
      cursor.start(array);
      if (start > 0 && count > 0) {
        cursor.seek(start);
      }
    } else if (memory != null) {
      cursor.start(memory, dtype.byteSize(), count);
    }
  }

  /** The elements' memory if they lie together, else null. */
  @Nullable MemorySegment together(RunCursor scratch) {
    place(scratch);
    return scratch.available() >= count
        ? scratch.segment().asSlice(scratch.byteOffset(), count * dtype.byteSize())
        : null;
  }
}
