package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = x σ(x) with σ the logistic function. dx = σ(x) (1 + x (1 - σ(x))) dy. */
public final class Silu {
  private Silu() {}

  /** The sigmoid linear unit, also called swish. */
  public static Tensor silu(Tensor x) {
    return Unary.apply(UnaryOperation.SILU, x);
  }
}
