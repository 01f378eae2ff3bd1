package dev.heddle.nn;

import dev.heddle.autograd.Tensor;

/** A module, or anything else, that maps one tensor to one tensor. */
@FunctionalInterface
public interface Layer {
  /** The result for {@code x}. */
  Tensor forward(Tensor x);
}
