package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.UnaryOperation;

/** y = x². dx = 2 x dy. */
public final class Square {
  private Square() {}

  /** The square of each element. */
  public static Tensor square(Tensor x) {
    return Unary.apply(UnaryOperation.SQUARE, x);
  }
}
