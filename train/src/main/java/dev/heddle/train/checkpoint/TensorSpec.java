package dev.heddle.train.checkpoint;

import java.util.List;

/**
 * A named tensor without its bytes.
 *
 * @param name its name, unique in a file
 * @param type its number format
 * @param shape its dims, row-major, none negative; empty is a scalar
 */
public record TensorSpec(String name, TensorType type, List<Long> shape) {

  /**
   * A named tensor.
   *
   * @throws IllegalArgumentException when a dim is negative or the byte size overflows
   */
  public TensorSpec {
    shape = List.copyOf(shape);
    try {
      long bytes = type.byteSize();
      for (long dim : shape) {
        if (dim < 0) {
          throw new IllegalArgumentException(name + ": shape " + shape + " has a negative dim");
        }
        bytes = Math.multiplyExact(bytes, dim);
      }
    } catch (ArithmeticException e) {
      throw new IllegalArgumentException(
          name + ": shape " + shape + " has more bytes than a file can hold", e);
    }
  }

  /** A named tensor with the shape as numbers. */
  public static TensorSpec of(String name, TensorType type, long... shape) {
    return new TensorSpec(name, type, java.util.Arrays.stream(shape).boxed().toList());
  }

  /** Elements in all. */
  public long elementCount() {
    return shape.stream().reduce(1L, Math::multiplyExact);
  }

  /** Bytes in all. */
  public long byteSize() {
    return elementCount() * type.byteSize();
  }
}
