package dev.heddle.nn;

import dev.heddle.autograd.Tensor;

/** A layer that normalises the features of each row: x [..,C] to [..,C]. */
public sealed interface Norm permits LayerNorm, RmsNorm {
  /** Which norm a block uses. */
  enum Kind {
    LAYER,
    RMS
  }

  /** Applies the layer. */
  Tensor forward(Tensor x);
}
