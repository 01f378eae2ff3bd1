package dev.heddle.nn;

import static dev.heddle.ops.Cast.cast;
import static dev.heddle.ops.Linear.linear;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/** Scores of all words: logits = x wᵀ without bias; ranks divide the words. */
public final class VocabularyHead extends Module {
  private final Layers layers;
  private final Parameter weight;
  private final long vocabularySize;

  /** A head from {@code size} features to {@code vocabularySize} words. */
  public VocabularyHead(
      Layers layers, String name, long size, long vocabularySize, double deviation) {
    this(
        layers,
        layers.parameter(
            name + ".weight",
            Shape.of(vocabularySize, size),
            0,
            vocabularySize,
            new Initializer.Normal(deviation)),
        vocabularySize);
  }

  /**
   * A head that scores words by vectors that it shares, such as those of an {@link Embedding}
   * (Press and Wolf, 2017).
   *
   * @param weight [words, size], divided as an embedding's
   */
  public VocabularyHead(Layers layers, Parameter weight, long vocabularySize) {
    this.layers = layers;
    this.vocabularySize = vocabularySize;
    this.weight = own(weight);
  }

  /** The sum of the losses of rows x [R, size] against targets [R] I64, negative ones ignored. */
  public Tensor lossSum(Tensor x, NDArray targets) {
    return layers.crossEntropySum(logits(x), targets, vocabularySize);
  }

  /** The most probable word after each row of x [R, size]: [R] I64. */
  public NDArray mostProbable(Tensor x) {
    return layers.argmax(logits(x).value(), vocabularySize);
  }

  /** This rank's columns of the logits, [R, words of this rank]. */
  public Tensor logits(Tensor x) {
    Tensor logits = linear(layers.enter(x), weight.tensor(), null);
    // Losses of narrow types are formed in the accumulation type: bf16 has three digits.
    return cast(logits, logits.dtype().accumulation());
  }
}
