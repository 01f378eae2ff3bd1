package dev.heddle.parallel.context;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/**
 * The gradients of some keys and values, or a summand of them, in the accumulation type.
 *
 * @param both [2,B,n,Hk,D] contiguous: those of the keys, then those of the values
 */
record KeyGradients(NDArray both) {
  /** Gradients of zero for keys and values [B,n,2 Hk,D]. */
  static KeyGradients zerosFor(NDArray keysAndValues) {
    KeyGradients zeros = emptyFor(keysAndValues);
    zeros.both.kernels().fill(zeros.both, 0);
    return zeros;
  }

  /** Room for the gradients of keys and values [B,n,2 Hk,D]. */
  static KeyGradients emptyFor(NDArray x) {
    Shape shape = Shape.of(2, x.dim(0), x.dim(1), x.dim(2) / 2, x.dim(3));
    return new KeyGradients(NDArray.empty(x.device(), x.dtype().accumulation(), shape));
  }

  /** Those of the keys, [B,n,Hk,D]. */
  NDArray ofKeys() {
    return half(0);
  }

  /** Those of the values, [B,n,Hk,D]. */
  NDArray ofValues() {
    return half(1);
  }

  private NDArray half(int index) {
    return both.slice(0, index, index + 1)
        .reshape(both.dim(1), both.dim(2), both.dim(3), both.dim(4));
  }

  /** Adds other summands. */
  void add(KeyGradients other) {
    both.kernels().addScaled(other.both, 1, both);
  }

  /** Writes them to the gradient of keys and values [B,n,2 Hk,D], in its type. */
  void writeTo(NDArray gradient) {
    gradient.kernels().copy(ofKeys(), PackedHeads.keys(gradient));
    gradient.kernels().copy(ofValues(), PackedHeads.values(gradient));
  }
}
