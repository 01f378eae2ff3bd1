package dev.heddle.runtime;

/**
 * The single requirements that {@link KernelChecks} puts together. Each throws {@link
 * IllegalArgumentException} with the kernel, the argument, what was got and what was wanted, and
 * allocates nothing when the requirement is met.
 */
final class ArgumentChecks {
  private ArgumentChecks() {}

  static IllegalArgumentException refuse(String format, Object... arguments) {
    return new IllegalArgumentException(String.format(format, arguments));
  }

  /** The array's memory is still its own. */
  static void live(NDArray x) {
    x.block();
  }

  static void floating(String kernel, String name, NDArray x) {
    live(x);
    if (!x.dtype().isFloating()) {
      throw refuse(
          "%s: %s is %s; wanted a floating type: F32, F64 or BF16", kernel, name, x.dtype());
    }
  }

  static void dtype(String kernel, String name, NDArray x, DType wanted) {
    if (x.dtype() != wanted) {
      throw refuse("%s: %s is %s; wanted %s", kernel, name, x.dtype(), wanted);
    }
  }

  static void device(String kernel, String name, NDArray x, String otherName, NDArray other) {
    live(x);
    if (x.device() != other.device()) {
      throw refuse(
          "%s: %s is on %s and %s on %s: they must be on the same device",
          kernel, name, x.device().name(), otherName, other.device().name());
    }
  }

  /** Same device and dtype as another argument. */
  static void like(String kernel, String name, NDArray x, String otherName, NDArray other) {
    device(kernel, name, x, otherName, other);
    if (x.dtype() != other.dtype()) {
      throw refuse(
          "%s: %s is %s and %s is %s: their dtypes must be equal",
          kernel, name, x.dtype(), otherName, other.dtype());
    }
  }

  /** Same device as another argument, and its accumulation type. */
  static void statistic(String kernel, String name, NDArray x, String otherName, NDArray other) {
    device(kernel, name, x, otherName, other);
    DType wanted = other.dtype().accumulation();
    if (x.dtype() != wanted) {
      throw refuse(
          "%s: %s is %s; wanted %s, the accumulation type of %s, which is %s",
          kernel, name, x.dtype(), wanted, otherName, other.dtype());
    }
  }

  static void rank(String kernel, String name, NDArray x, int wanted) {
    if (x.rank() != wanted) {
      throw refuse("%s: %s is %s; wanted rank %s", kernel, name, x.shape(), wanted);
    }
  }

  /** There is an innermost dim. */
  static void hasColumns(String kernel, String name, NDArray x) {
    if (x.rank() == 0) {
      throw refuse("%s: %s is a scalar; wanted rows, rank 1 or more", kernel, name);
    }
  }

  static void sameShape(String kernel, String name, NDArray x, String otherName, NDArray other) {
    if (!x.shape().equals(other.shape())) {
      throw refuse(
          "%s: %s is %s; wanted %s, that of %s", kernel, name, x.shape(), other.shape(), otherName);
    }
  }

  /** Shape [size]. */
  static void vector(String kernel, String name, NDArray x, long size, String meaning) {
    if (x.rank() != 1 || x.dim(0) != size) {
      throw refuse("%s: %s is %s; wanted [%s], %s", kernel, name, x.shape(), size, meaning);
    }
  }

  /** Shape [rows,columns]. */
  static void matrix(
      String kernel, String name, NDArray x, long rows, long columns, String meaning) {
    if (x.rank() != 2 || x.dim(0) != rows || x.dim(1) != columns) {
      throw refuse(
          "%s: %s is %s; wanted [%s,%s], %s", kernel, name, x.shape(), rows, columns, meaning);
    }
  }

  static void contiguous(String kernel, String name, NDArray x) {
    if (!x.isContiguous()) {
      throw refuse(
          "%s: %s is %s; wanted a contiguous array: pass %s.contiguous()", kernel, name, x, name);
    }
  }

  /** Neighbours in the innermost dim are neighbours in memory. */
  static void contiguousColumns(String kernel, String name, NDArray x) {
    // An empty array has no neighbours, whatever its strides: it counts as contiguous.
    if (x.dim(-1) > 1 && x.stride(-1) != 1 && x.size() > 0) {
      throw refuse(
          "%s: %s %s has stride %s in its innermost dim; wanted 1: pass %s.contiguous()",
          kernel, name, x.shape(), x.stride(-1), name);
    }
  }

  /** Contiguous columns, and rows that lie a fixed distance apart and do not overlap. */
  static void stridedRows(String kernel, String name, NDArray x) {
    if (x.isContiguous()) {
      return;
    }
    contiguousColumns(kernel, name, x);
    long stride = KernelChecks.rowStride(x);
    if (stride < x.dim(-1)) {
      throw refuse(
          "%s: %s is %s, whose rows %s; wanted rows a fixed distance apart: pass "
              + "%s.contiguous()",
          kernel, name, x, stride < 0 ? "are not evenly spaced" : "overlap", name);
    }
  }

  /** Contiguous, with the device, dtype and shape of another argument. */
  static void contiguousLike(String kernel, String name, NDArray y, String otherName, NDArray x) {
    like(kernel, name, y, otherName, x);
    sameShape(kernel, name, y, otherName, x);
    contiguous(kernel, name, y);
  }

  /** With evenly spaced rows, and the device, dtype and shape of another argument. */
  static void stridedLike(String kernel, String name, NDArray y, String otherName, NDArray x) {
    like(kernel, name, y, otherName, x);
    sameShape(kernel, name, y, otherName, x);
    stridedRows(kernel, name, y);
  }

  /** Whether {@code y} is the numpy broadcast of {@code a} and {@code b}. */
  static boolean isBroadcastOf(Shape a, Shape b, Shape y) {
    if (Math.max(a.rank(), b.rank()) != y.rank()) {
      return false;
    }
    for (int i = 1; i <= y.rank(); i++) {
      long sizeA = i <= a.rank() ? a.dim(-i) : 1;
      long sizeB = i <= b.rank() ? b.dim(-i) : 1;
      if (sizeA != sizeB && sizeA != 1 && sizeB != 1) {
        return false;
      }
      if (y.dim(-i) != (sizeA == 1 ? sizeB : sizeA)) {
        return false;
      }
    }
    return true;
  }

  /** What a BLAS takes: columns contiguous, rows at least a row apart. */
  static void matrixStrides(String kernel, String name, NDArray x) {
    contiguousColumns(kernel, name, x);
    if (x.dim(-2) > 1 && x.stride(-2) < x.dim(-1) && x.size() > 0) {
      throw refuse(
          "%s: %s %s has row stride %s, less than its %s columns; wanted rows that do not "
              + "overlap: pass %s.contiguous()",
          kernel, name, x.shape(), x.stride(-2), x.dim(-1), name);
    }
  }

  /** One value for each column of {@code x}. */
  static void columnVector(String kernel, String name, NDArray vector, NDArray x) {
    like(kernel, name, vector, "x", x);
    vector(kernel, name, vector, x.dim(-1), "one value a column of x");
    contiguous(kernel, name, vector);
  }

  /** One value of the accumulation type for each row of {@code x}. */
  static void rowStatistic(
      String kernel, String name, NDArray statistic, String otherName, NDArray x) {
    statistic(kernel, name, statistic, otherName, x);
    long rows = x.shape().rows();
    if (statistic.rank() != 1 || statistic.dim(0) != rows) {
      vector(kernel, name, statistic, rows, "one value a row of " + otherName);
    }
    contiguous(kernel, name, statistic);
  }

  /** No two elements share memory through a stride-0 dim. */
  static void writable(String kernel, String name, NDArray y) {
    if (y.size() == 0) {
      return;
    }
    for (int i = 0; i < y.rank(); i++) {
      if (y.dim(i) > 1 && y.stride(i) == 0) {
        throw refuse(
            "%s: %s %s has stride 0 in dim %s: a broadcast view cannot be written",
            kernel, name, y.shape(), i);
      }
    }
  }

  /** An output that is not allowed to be the input. */
  static void distinct(String kernel, String name, NDArray y, String otherName, NDArray x) {
    if (overlap(y, x)) {
      throw refuse(
          "%s: %s shares memory with %s, which this kernel cannot compute in place; pass "
              + "another array",
          kernel, name, otherName);
    }
  }

  /** An output that may be exactly the input, but not overlap it otherwise. */
  static void inPlace(String kernel, String name, NDArray y, String otherName, NDArray x) {
    if (overlap(y, x) && !sameWindow(y, x)) {
      throw refuse(
          "%s: %s shares memory with %s but is not the same array: in place wants equal "
              + "shape, strides and offset",
          kernel, name, otherName);
    }
  }

  private static boolean overlap(NDArray a, NDArray b) {
    if (a.block() != b.block() || a.size() == 0 || b.size() == 0) {
      return false;
    }
    long startA = a.byteOffset();
    long startB = b.byteOffset();
    if (startA == startB) {
      return true;
    }
    return a.isContiguous()
        && b.isContiguous()
        && startA < startB + b.size() * b.dtype().byteSize()
        && startB < startA + a.size() * a.dtype().byteSize();
  }

  private static boolean sameWindow(NDArray a, NDArray b) {
    if (a.dtype() != b.dtype() || a.offset() != b.offset() || !a.shape().equals(b.shape())) {
      return false;
    }
    for (int i = 0; i < a.rank(); i++) {
      if (a.dim(i) > 1 && a.stride(i) != b.stride(i)) {
        return false;
      }
    }
    return true;
  }
}
