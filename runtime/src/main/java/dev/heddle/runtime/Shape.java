package dev.heddle.runtime;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** The sizes of an array's dims, outermost first. Immutable; a size may be zero. */
public final class Shape {
  private static final Shape SCALAR = new Shape(new long[0]);

  /**
   * Shapes by the low bits of their hash code: a training step asks for the same ones every time.
   * Threads may overwrite each other's entries, which costs a shape and no more, since shapes are
   * immutable.
   */
  private static final @Nullable Shape[] SHARED = new @Nullable Shape[1024];

  private final long[] dims;
  private final long size;
  // Volatile: shapes are shared between rank threads.
  private volatile long @Nullable [] contiguousStrides;

  private Shape(long[] dims) {
    this.dims = dims;
    long product = 1;
    for (long dim : dims) {
      if (dim < 0) {
        throw new IllegalArgumentException(
            "Shape: dim sizes must not be negative, got " + Arrays.toString(dims));
      }
      product = Math.multiplyExact(product, dim);
    }
    this.size = product;
  }

  /** The shape with the given sizes; no argument gives the scalar shape. */
  public static Shape of(long... dims) {
    return shared(dims, true);
  }

  /** The shape of these sizes; {@code copies} says whether the array may change later. */
  private static Shape shared(long[] dims, boolean copies) {
    if (dims.length == 0) {
      return SCALAR;
    }
    int hash = Arrays.hashCode(dims);
    int slot = (hash ^ hash >>> 10) & SHARED.length - 1;
    Shape shape = SHARED[slot];
    if (shape == null || !Arrays.equals(shape.dims, dims)) {
      shape = new Shape(copies ? dims.clone() : dims);
      SHARED[slot] = shape;
    }
    return shape;
  }

  /** Number of dims. */
  public int rank() {
    return dims.length;
  }

  /** Number of elements. */
  public long size() {
    return size;
  }

  /** Size of dim {@code index}; a negative index counts from the innermost dim, -1. */
  public long dim(int index) {
    return dims[normalize(index)];
  }

  /** {@code index} as a non-negative dim number, or an error that names the allowed range. */
  public int normalize(int index) {
    int positive = index < 0 ? index + dims.length : index;
    if (positive < 0 || positive >= dims.length) {
      throw new IllegalArgumentException(
          "dim " + index + " does not exist in shape " + this + " of rank " + dims.length);
    }
    return positive;
  }

  /** A copy of the sizes. */
  public long[] toArray() {
    return dims.clone();
  }

  /** This shape with dim {@code index} replaced by {@code newSize}. */
  public Shape with(int index, long newSize) {
    int changed = normalize(index);
    if (dims[changed] == newSize) {
      return this;
    }
    long[] copy = dims.clone();
    copy[changed] = newSize;
    return shared(copy, false);
  }

  /** Element strides of a row-major, gapless array of this shape. */
  public long[] contiguousStrides() {
    return sharedContiguousStrides().clone();
  }

  /** {@link #contiguousStrides()} without a copy: one array for all users, none may change it. */
  long[] sharedContiguousStrides() {
    long[] strides = contiguousStrides;
    if (strides == null) {
      strides = new long[dims.length];
      long stride = 1;
      for (int i = dims.length - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= dims[i];
      }
      contiguousStrides = strides;
    }
    return strides;
  }

  /** Product of all sizes but the innermost: the rows of this shape seen as a matrix. */
  public long rows() {
    long rows = 1;
    for (int i = 0; i < dims.length - 1; i++) {
      rows *= dims[i];
    }
    return rows;
  }

  /**
   * The numpy broadcast of two shapes: dims are aligned at the innermost, sizes must be equal or 1.
   *
   * @throws IllegalArgumentException naming both shapes when they cannot be broadcast
   */
  public static Shape broadcast(Shape a, Shape b) {
    if (a.equals(b)) {
      return a;
    }
    int rank = Math.max(a.rank(), b.rank());
    long[] result = new long[rank];
    for (int i = 1; i <= rank; i++) {
      long sizeA = i <= a.rank() ? a.dims[a.rank() - i] : 1;
      long sizeB = i <= b.rank() ? b.dims[b.rank() - i] : 1;
      if (sizeA != sizeB && sizeA != 1 && sizeB != 1) {
        throw new IllegalArgumentException(
            "shapes "
                + a
                + " and "
                + b
                + " do not broadcast: dim -"
                + i
                + " is "
                + sizeA
                + " and "
                + sizeB
                + "; sizes must be equal or 1");
      }
      result[rank - i] = sizeA == 1 ? sizeB : sizeA;
    }
    return shared(result, false);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Shape shape && Arrays.equals(dims, shape.dims);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(dims);
  }

  @Override
  public String toString() {
    return Arrays.toString(dims).replace(" ", "");
  }
}
