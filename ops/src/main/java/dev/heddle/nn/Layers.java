package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/**
 * What a model is built from: it makes parameters, and it says where a value enters and leaves the
 * region that ranks compute in parts. Model code written against it knows no parallelism: {@link
 * LocalLayers} holds everything whole, {@code parallel.tensor.TensorParallelLayers} gives each rank
 * its part of the heads, of the hidden features and of the vocabulary.
 *
 * <p>A split is counted in units: the heads of an attention, the rows of a vocabulary. Units need
 * not divide evenly.
 */
public interface Layers {
  /** The dim split of a parameter that every rank holds whole. */
  int WHOLE = Parameter.WHOLE;

  /** Where parameters live. */
  Device device();

  /** The dtype of parameters and activations. */
  DType dtype();

  /** The first of {@code units} units that this rank has. */
  long unitStart(long units);

  /** How many of {@code units} units this rank has. */
  long unitCount(long units);

  /** Whether ranks hold parts, so that {@link #leave} adds up what several ranks computed. */
  boolean isSplit();

  /**
   * A new parameter.
   *
   * @param splitDim the dim that ranks divide, or {@link #WHOLE}
   * @param units how many units the dim consists of; its size is a multiple
   */
  Parameter parameter(
      String name, Shape globalShape, int splitDim, long units, Initializer initializer);

  /** A new parameter that every rank holds whole. */
  default Parameter parameter(String name, Shape shape, Initializer initializer) {
    return parameter(name, shape, WHOLE, 1, initializer);
  }

  /** {@code x}, the same on all ranks, about to be used by each rank for its part. */
  Tensor enter(Tensor x);

  /** The sum over the ranks of what each computed from its part. */
  Tensor leave(Tensor partial);

  /**
   * Rows of a table whose rows are split: ids [n] I64 of the whole vocabulary (negative: a zero
   * row), table this rank's rows of it; result [n, columns], complete on all ranks.
   */
  Tensor embedding(NDArray ids, Tensor table, long vocabularySize);

  /**
   * The sum over rows of -log softmax(logits)[target], negative targets ignored. Logits [R, C] are
   * this rank's columns of the vocabulary; the result is complete on all ranks.
   */
  Tensor crossEntropySum(Tensor logits, NDArray targets, long vocabularySize);

  /**
   * For each row the largest logit's column in the whole vocabulary, [R] I64. Logits as in {@link
   * #crossEntropySum}.
   */
  NDArray argmax(NDArray logits, long vocabularySize);
}
