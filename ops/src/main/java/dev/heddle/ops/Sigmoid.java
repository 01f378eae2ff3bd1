package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = 1 / (1 + e^-x). dx = y (1 - y) dy. */
public final class Sigmoid {
  private Sigmoid() {}

  /** The logistic function of each element. */
  public static Tensor sigmoid(Tensor x) {
    return Unary.apply(UnaryOperation.SIGMOID, x);
  }
}
