package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/**
 * Where the rows of a strided (or broadcast) array begin, when it is walked as an array of the
 * given shape: a row is the innermost dim. Offsets count elements.
 */
final class RowOffsets {
  private final long[] dims;
  private final long[] strides;
  private final long innerStride;

  private RowOffsets(long[] dims, long[] strides, long innerStride) {
    this.dims = dims;
    this.strides = strides;
    this.innerStride = innerStride;
  }

  /** Of {@code x} stretched to {@code shape}, of rank 1 or more, by numpy rules. */
  static RowOffsets of(NDArray x, Shape shape) {
    int rank = shape.rank();
    long[] all = new long[rank];
    for (int i = 1; i <= x.rank(); i++) {
      all[rank - i] = x.dim(-i) == 1 ? 0 : x.stride(-i);
    }
    return of(shape, all);
  }

  /** Of elements whose place is {@code strides} times their index. */
  static RowOffsets of(Shape shape, long[] strides) {
    int outer = shape.rank() - 1;
    long[] dims = new long[outer];
    for (int i = 0; i < outer; i++) {
      dims[i] = shape.dim(i);
    }
    return new RowOffsets(dims, strides, strides[outer]);
  }

  /** The step from one element of a row to the next. */
  long innerStride() {
    return innerStride;
  }

  /** Where row {@code row} begins. */
  long of(long row) {
    long rest = row;
    long offset = 0;
    for (int i = dims.length - 1; i > 0; i--) {
      long above = rest / dims[i];
      offset += (rest - above * dims[i]) * strides[i];
      rest = above;
    }
    return dims.length == 0 ? 0 : offset + rest * strides[0];
  }
}
