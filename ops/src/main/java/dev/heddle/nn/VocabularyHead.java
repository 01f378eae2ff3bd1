package dev.heddle.nn;

import static dev.heddle.ops.Cast.cast;
import static dev.heddle.ops.Linear.linear;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

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

  /**
   * The sum of the losses of some positions of x [B, S_held, size] against targets [R] I64,
   * negative ones ignored. It is complete on the ranks that divide the words; ranks that divide the
   * sequence have the losses of their own positions.
   *
   * @param rows [R] I64: which of this rank's {@linkplain Layers#enteredPositions entered
   *     positions} are scored, numbered lane by lane
   */
  public Tensor lossSum(Tensor x, NDArray rows, NDArray targets, @Nullable SequenceSpec sequence) {
    Tensor logits = ofEntered(layers.enterRows(x, rows, sequence));
    return layers.crossEntropySum(logits, targets, vocabularySize);
  }

  /** The most probable word after each row of x [R, size]: [R] I64. */
  public NDArray mostProbable(Tensor x) {
    return layers.argmax(logits(x).value(), vocabularySize);
  }

  /** The most probable word after some positions of x [B, S_held, size]; rows as in lossSum. */
  public NDArray mostProbable(Tensor x, NDArray rows, @Nullable SequenceSpec sequence) {
    Tensor logits = ofEntered(layers.enterRows(x, rows, sequence));
    return layers.argmax(logits.value(), vocabularySize);
  }

  /** This rank's columns of the logits of rows x [R, size]: [R, words of this rank]. */
  public Tensor logits(Tensor x) {
    return ofEntered(layers.enter(x, null));
  }

  private Tensor ofEntered(Tensor x) {
    Tensor logits = linear(x, weight.tensor(), null);
    // Losses of narrow types are formed in the accumulation type: bf16 has three digits.
    return cast(logits, logits.dtype().accumulation());
  }
}
