package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = e^x. dx = y dy. */
public final class Exp {
  private Exp() {}

  /** The exponential of each element. */
  public static Tensor exp(Tensor x) {
    return Unary.apply(UnaryOperation.EXP, x);
  }
}
