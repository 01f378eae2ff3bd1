package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;

/**
 * A trained tensor, or this rank's part of one: an interval along one dim of the global tensor. Its
 * name and global shape are the same under every layout; checkpoints and random initial values go
 * by them.
 *
 * @param name the global name, parts separated by dots, such as {@code vision.block0.mlp.up.weight}
 * @param tensor this rank's values: a leaf
 * @param globalShape the shape of the whole tensor
 * @param shardDim the dim that ranks divide, or -1 if every rank holds it whole
 * @param shardStart the first index of this rank's part along that dim; 0 if it is whole
 * @param decays whether weight decay applies: to matrices, not to biases and norms
 * @param partialGradient whether the gradient on a tensor-parallel rank is only a summand, as it is
 *     where the ranks hold the parameter whole but use it on different rows (sequence parallelism):
 *     then it is summed over these ranks too
 */
public record Parameter(
    String name,
    Tensor tensor,
    Shape globalShape,
    int shardDim,
    long shardStart,
    boolean decays,
    boolean partialGradient) {
  /** The value of {@link #shardDim} of a parameter that is held whole. */
  public static final int WHOLE = -1;

  /** A parameter whose gradient is complete on every tensor-parallel rank. */
  public Parameter(
      String name,
      Tensor tensor,
      Shape globalShape,
      int shardDim,
      long shardStart,
      boolean decays) {
    this(name, tensor, globalShape, shardDim, shardStart, decays, false);
  }

  /** The same with its gradient said to be a summand. */
  public Parameter withPartialGradient() {
    return new Parameter(name, tensor, globalShape, shardDim, shardStart, decays, true);
  }

  /** Whether this rank holds only a part. */
  public boolean isSharded() {
    return shardDim != WHOLE;
  }

  /** For example {@code language.head.weight [512,256] rows 128-255}. */
  @Override
  public String toString() {
    return name
        + " "
        + globalShape
        + (isSharded()
            ? " dim " + shardDim + " from " + shardStart + ", " + tensor.dim(shardDim)
            : "");
  }
}
