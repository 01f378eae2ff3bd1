package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = max(x, 0). dx = dy where x > 0, else 0. */
public final class Relu {
  private Relu() {}

  /** The positive part of each element. */
  public static Tensor relu(Tensor x) {
    return Unary.apply(UnaryOperation.RELU, x);
  }
}
