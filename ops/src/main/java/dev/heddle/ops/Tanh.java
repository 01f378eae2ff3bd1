package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = tanh x. dx = (1 - y²) dy. */
public final class Tanh {
  private Tanh() {}

  /** The hyperbolic tangent of each element. */
  public static Tensor tanh(Tensor x) {
    return Unary.apply(UnaryOperation.TANH, x);
  }
}
