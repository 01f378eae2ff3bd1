package dev.heddle.nn;

/** A layer that normalizes the features of each row. */
public sealed interface Norm extends Layer permits LayerNorm, RmsNorm {
  /** Which norm a model uses. */
  enum Kind {
    LAYER,
    RMS
  }
}
