package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/** What the element-wise functions of two tensors share: checks, broadcasting, the kernel call. */
final class Binary {
  private Binary() {}

  /** op(a, b) with numpy broadcasting, for the operator called {@code name}. */
  static NDArray forward(String name, BinaryOperation op, Tensor a, Tensor b) {
    Refusal.unlessSameType(name, "b", b, "a", a);
    if (!broadcasts(a.shape(), b.shape())) {
      throw Refusal.of(
          name,
          "b",
          b,
          "a shape that broadcasts with a, " + Refusal.name(a),
          "Sizes, aligned at the innermost dim, must be equal or 1.");
    }
    return apply(op, a.value(), b.value());
  }

  /** op(a, b) with numpy broadcasting. */
  static NDArray apply(BinaryOperation op, NDArray a, NDArray b) {
    NDArray y = NDArray.empty(a.device(), a.dtype(), Shape.broadcast(a.shape(), b.shape()));
    a.kernels().binary(op, a, b, y);
    return y;
  }

  private static boolean broadcasts(Shape a, Shape b) {
    for (int i = 1; i <= Math.min(a.rank(), b.rank()); i++) {
      if (a.dim(-i) != b.dim(-i) && a.dim(-i) != 1 && b.dim(-i) != 1) {
        return false;
      }
    }
    return true;
  }
}
