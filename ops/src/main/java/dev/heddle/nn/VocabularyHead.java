package dev.heddle.nn;

import static dev.heddle.ops.Linear.linear;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Reshape;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * From features to a score for each vocabulary entry, and to the loss. x [..,C] -> logits
 * [..,entries here]. No bias; the weight may be that of the embedding ("tied").
 *
 * <p>Split over ranks by vocabulary entries; the loss is computed without gathering the scores.
 */
public final class VocabularyHead extends Module {
  private final Layers layers;
  private final Part vocabulary;
  private final Parameter weight;

  private VocabularyHead(Layers layers, String name, Part vocabulary, Parameter weight) {
    super(name);
    this.layers = layers;
    this.vocabulary = vocabulary;
    this.weight = add(weight);
  }

  /** A head with a weight of its own. */
  public static VocabularyHead create(
      Layers layers, String name, long size, long vocabularySize, Initializer initializer) {
    Part vocabulary = layers.part(vocabularySize);
    ParameterSpec spec =
        ParameterSpec.sharded(
            name + ".weight", Shape.of(vocabularySize, size), 0, vocabulary, initializer, true);
    return new VocabularyHead(layers, name, vocabulary, layers.parameter(spec));
  }

  /** A head that uses the weight of {@code embedding}. */
  public static VocabularyHead tied(Layers layers, String name, VocabularyEmbedding embedding) {
    return new VocabularyHead(layers, name, embedding.vocabulary(), embedding.weight());
  }

  /** The scores of the entries that are here. */
  public Tensor logits(Tensor x) {
    return linear(layers.enterParallel(x), weight.tensor(), null);
  }

  /**
   * The sum of the losses of the rows of {@code x} whose target is not negative, the same on every
   * rank.
   *
   * @param targets I64, one a row of x
   */
  public Tensor crossEntropySum(Tensor x, NDArray targets) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor logits = logits(x);
      Tensor rows = Reshape.reshape(logits, logits.shape().rows(), vocabulary.size());
      NDArray flat = targets.reshape(targets.size());
      return inside.keep(layers.crossEntropySum(rows, flat, vocabulary));
    }
  }

  /** Which entries are here. */
  public Part vocabulary() {
    return vocabulary;
  }

  /** The weight, [V,C]. */
  public Parameter weight() {
    return weight;
  }
}
