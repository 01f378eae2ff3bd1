package dev.heddle.runtime.cuda;

import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * The bytes that a launch, or an operator as a whole, reads and writes if it touches each of its
 * operands once. Elements that an array has several times, by a stride of 0, are one.
 *
 * @param bytesRead bytes read
 * @param bytesWritten bytes written
 */
record PaperMoves(long bytesRead, long bytesWritten) {
  static final PaperMoves NONE = new PaperMoves(0, 0);

  /** All of these arrays, those that are not there left out. */
  static PaperMoves reads(@Nullable NDArray... arrays) {
    return new PaperMoves(bytes(arrays), 0);
  }

  static PaperMoves readsBytes(long bytes) {
    return new PaperMoves(bytes, 0);
  }

  PaperMoves writes(@Nullable NDArray... arrays) {
    return writesBytes(bytes(arrays));
  }

  PaperMoves writesBytes(long bytes) {
    return new PaperMoves(bytesRead, bytesWritten + bytes);
  }

  PaperMoves plus(PaperMoves other) {
    return new PaperMoves(bytesRead + other.bytesRead, bytesWritten + other.bytesWritten);
  }

  private static long bytes(@Nullable NDArray... arrays) {
    long bytes = 0;
    for (NDArray array : arrays) {
      bytes += array == null ? 0 : bytes(array);
    }
    return bytes;
  }

  /** Bytes of an array's elements, each counted once. */
  static long bytes(NDArray array) {
    long elements = 1;
    for (int i = 0; i < array.rank(); i++) {
      elements *= array.stride(i) == 0 ? Math.min(1, array.dim(i)) : array.dim(i);
    }
    return elements * array.dtype().byteSize();
  }
}
