package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = √x. dx = dy / (2 y). */
public final class Sqrt {
  private Sqrt() {}

  /** The square root of each element. */
  public static Tensor sqrt(Tensor x) {
    return Unary.apply(UnaryOperation.SQRT, x);
  }
}
