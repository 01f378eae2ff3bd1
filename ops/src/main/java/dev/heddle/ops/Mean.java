package dev.heddle.ops;

import dev.heddle.autograd.Tensor;

/** y = Σ x / n over all dims or one. dx = dy / n. {@link Sum} and {@link Scale}. */
public final class Mean {
  private Mean() {}

  /** The mean of all elements: a scalar. */
  public static Tensor mean(Tensor x) {
    return Scale.scale(Sum.sum(x), 1.0 / x.shape().size());
  }

  /** The mean along {@code dim}, which the result does not have. */
  public static Tensor mean(Tensor x, int dim) {
    return Scale.scale(Sum.sum(x, dim), 1.0 / x.dim(dim));
  }
}
