package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;

/** Is told when a tensor's gradient is complete. */
@FunctionalInterface
public interface GradientHook {
  /**
   * Called once in a backward pass, as soon as every use of the tensor has contributed. For a leaf
   * {@code gradient} is the accumulated {@link Tensor#gradient()}, which the hook may change in
   * place; for an intermediate it is valid only during the call and must not be changed.
   */
  void gradientReady(Tensor tensor, NDArray gradient);
}
