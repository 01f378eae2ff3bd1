package dev.heddle.runtime;

/**
 * The single requirements that {@link KernelChecks} puts together. Each throws {@link
 * IllegalArgumentException} with the kernel, the argument, what was got and what was wanted, and
 * allocates nothing when the requirement is met.
 */
final class ArgumentChecks {
  private ArgumentChecks() {}

  static IllegalArgumentException refuse(String kernel, String message) {
    return new IllegalArgumentException(kernel + ": " + message);
  }

  /** The array's memory is still its own. */
  static void live(NDArray x) {
    x.block();
  }

  static void floating(String kernel, String name, NDArray x) {
    live(x);
    if (!x.dtype().isFloating()) {
      throw refuse(
          kernel, name + " is " + x.dtype() + "; wanted a floating type: F32, F64 or BF16");
    }
  }

  static void dtype(String kernel, String name, NDArray x, DType wanted) {
    if (x.dtype() != wanted) {
      throw refuse(kernel, name + " is " + x.dtype() + "; wanted " + wanted);
    }
  }

  static void device(String kernel, String name, NDArray x, String otherName, NDArray other) {
    live(x);
    if (x.device() != other.device()) {
      throw refuse(
          kernel,
          name + " is on " + x.device().name() + " and " + otherName + " on "
              + other.device().name() + ": they must be on the same device");
    }
  }

  /** Same device and dtype as another argument. */
  static void like(String kernel, String name, NDArray x, String otherName, NDArray other) {
    device(kernel, name, x, otherName, other);
    if (x.dtype() != other.dtype()) {
      throw refuse(
          kernel,
          name + " is " + x.dtype() + " and " + otherName + " is " + other.dtype()
              + ": their dtypes must be equal");
    }
  }

  /** Same device as another argument, and its accumulation type. */
  static void statistic(String kernel, String name, NDArray x, String otherName, NDArray other) {
    device(kernel, name, x, otherName, other);
    DType wanted = other.dtype().accumulation();
    if (x.dtype() != wanted) {
      throw refuse(
          kernel,
          name + " is " + x.dtype() + "; wanted " + wanted + ", the accumulation type of "
              + otherName + ", which is " + other.dtype());
    }
  }

  static void rank(String kernel, String name, NDArray x, int wanted) {
    if (x.rank() != wanted) {
      throw refuse(kernel, name + " is " + x.shape() + "; wanted rank " + wanted);
    }
  }

  /** There is an innermost dim. */
  static void hasColumns(String kernel, String name, NDArray x) {
    if (x.rank() == 0) {
      throw refuse(kernel, name + " is a scalar; wanted rows, rank 1 or more");
    }
  }

  static void sameShape(String kernel, String name, NDArray x, String otherName, NDArray other) {
    if (!x.shape().equals(other.shape())) {
      throw refuse(
          kernel,
          name + " is " + x.shape() + "; wanted " + other.shape() + ", that of " + otherName);
    }
  }

  /** Shape [size]. */
  static void vector(String kernel, String name, NDArray x, long size, String meaning) {
    if (x.rank() != 1 || x.dim(0) != size) {
      throw refuse(kernel, name + " is " + x.shape() + "; wanted [" + size + "], " + meaning);
    }
  }

  /** Shape [rows,columns]. */
  static void matrix(
      String kernel, String name, NDArray x, long rows, long columns, String meaning) {
    if (x.rank() != 2 || x.dim(0) != rows || x.dim(1) != columns) {
      throw refuse(
          kernel,
          name + " is " + x.shape() + "; wanted [" + rows + "," + columns + "], " + meaning);
    }
  }

  static void contiguous(String kernel, String name, NDArray x) {
    if (!x.isContiguous()) {
      throw refuse(
          kernel,
          name + " is " + x + "; wanted a contiguous array: pass " + name + ".contiguous()");
    }
  }

  /** Neighbours in the innermost dim are neighbours in memory. */
  static void contiguousColumns(String kernel, String name, NDArray x) {
    if (x.dim(-1) > 1 && x.stride(-1) != 1) {
      throw refuse(
          kernel,
          name + " " + x.shape() + " has stride " + x.stride(-1)
              + " in its innermost dim; wanted 1: pass " + name + ".contiguous()");
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
          kernel,
          name + " is " + x + ", whose rows " + (stride < 0 ? "are not evenly spaced" : "overlap")
              + "; wanted rows a fixed distance apart: pass " + name + ".contiguous()");
    }
  }

  /** No two elements share memory through a stride-0 dim. */
  static void writable(String kernel, String name, NDArray y) {
    if (y.size() == 0) {
      return;
    }
    for (int i = 0; i < y.rank(); i++) {
      if (y.dim(i) > 1 && y.stride(i) == 0) {
        throw refuse(
            kernel,
            name + " " + y.shape() + " has stride 0 in dim " + i
                + ": a broadcast view cannot be written");
      }
    }
  }

  /** An output that is not allowed to be the input. */
  static void distinct(String kernel, String name, NDArray y, String otherName, NDArray x) {
    if (overlap(y, x)) {
      throw refuse(
          kernel,
          name + " shares memory with " + otherName
              + ", which this kernel cannot compute in place; pass another array");
    }
  }

  /** An output that may be exactly the input, but not overlap it otherwise. */
  static void inPlace(String kernel, String name, NDArray y, String otherName, NDArray x) {
    if (overlap(y, x) && !sameWindow(y, x)) {
      throw refuse(
          kernel,
          name + " shares memory with " + otherName
              + " but is not the same array: in place wants equal shape, strides and offset");
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
