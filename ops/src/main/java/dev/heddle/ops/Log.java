package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = ln x. dx = dy / x. */
public final class Log {
  private Log() {}

  /** The natural logarithm of each element. */
  public static Tensor log(Tensor x) {
    return Unary.apply(UnaryOperation.LOG, x);
  }
}
