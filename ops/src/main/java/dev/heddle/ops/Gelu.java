package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = x Φ(x) with Φ the normal distribution function. dx = (Φ(x) + x φ(x)) dy. */
public final class Gelu {
  private Gelu() {}

  /** The Gaussian error linear unit (Hendrycks and Gimpel, 2016), exact, through erf. */
  public static Tensor gelu(Tensor x) {
    return Unary.apply(UnaryOperation.GELU, x);
  }
}
