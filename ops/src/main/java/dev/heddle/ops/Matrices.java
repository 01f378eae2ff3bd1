package dev.heddle.ops;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/** Arrays in the forms that matrix and row kernels take, copied only where no view will do. */
final class Matrices {
  private Matrices() {}

  /** {@code x} [..,C] as [R,C] with contiguous columns and rows that do not overlap. */
  static NDArray rows(NDArray x) {
    long columns = x.dim(-1);
    NDArray matrix = x.rank() == 2 ? x : x.reshape(Shape.of(x.shape().rows(), columns));
    boolean usable =
        matrix.isContiguous()
            || ((columns == 1 || matrix.stride(1) == 1)
                && (matrix.dim(0) == 1 || matrix.stride(0) >= columns));
    return usable ? matrix : matrix.contiguous();
  }

  /** A new array like {@code x}. */
  static NDArray emptyLike(NDArray x) {
    return NDArray.empty(x.device(), x.dtype(), x.shape());
  }

  /** A new array of {@code x}'s accumulation type, for statistics. */
  static NDArray statistic(NDArray x, long... dims) {
    return NDArray.empty(x.device(), x.dtype().accumulation(), dims);
  }

  /** {@code dy} summed to {@code shape}, of which its shape is a broadcast: itself if equal. */
  static NDArray sumTo(NDArray dy, Shape shape) {
    if (dy.shape().equals(shape)) {
      return dy;
    }
    NDArray sum = NDArray.empty(dy.device(), dy.dtype(), shape);
    dy.kernels().sumTo(dy.contiguous(), sum);
    return sum;
  }
}
