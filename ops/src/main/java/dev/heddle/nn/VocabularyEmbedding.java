package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Embedding;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/**
 * A vector for each vocabulary entry. ids [..] -> y [..,C].
 *
 * <p>Split over ranks by vocabulary entries: a rank contributes the rows that it holds and zeros
 * for the others.
 */
public final class VocabularyEmbedding extends Module {
  private final Layers layers;
  private final Part vocabulary;
  private final Parameter table;

  /** A table of {@code vocabularySize} vectors of {@code size} features. */
  public VocabularyEmbedding(
      Layers layers, String name, long vocabularySize, long size, Initializer initializer) {
    super(name);
    this.layers = layers;
    this.vocabulary = layers.part(vocabularySize);
    table =
        add(
            layers.parameter(
                ParameterSpec.sharded(
                    name + ".weight",
                    Shape.of(vocabularySize, size),
                    0,
                    vocabulary,
                    initializer,
                    true)));
  }

  /**
   * The vectors of {@code ids}, zeros for negative ones.
   *
   * @param ids I64
   * @throws IndexOutOfBoundsException if an id is not below the vocabulary size
   */
  public Tensor forward(NDArray ids) {
    if (vocabulary.isWhole()) {
      return Embedding.embedding(ids, table.tensor());
    }
    return layers.leaveParallel(Embedding.embedding(local(ids), table.tensor()));
  }

  /** {@code ids} as rows of the table here, -1 for those elsewhere. */
  private NDArray local(NDArray ids) {
    if (!ids.device().hasBytes()) {
      return ids;
    }
    long[] rows = ids.toLongs();
    for (int i = 0; i < rows.length; i++) {
      long id = rows[i];
      if (id >= vocabulary.total()) {
        throw new IndexOutOfBoundsException(
            "VocabularyEmbedding " + name() + ": id " + id + " at " + i + "; wanted less than "
                + vocabulary.total());
      }
      boolean here = id >= vocabulary.start() && id < vocabulary.end();
      rows[i] = here ? id - vocabulary.start() : -1;
    }
    return NDArray.of(ids.device(), ids.shape(), rows);
  }

  /** The table, [V,C]. */
  public Parameter weight() {
    return table;
  }

  /** Which entries are here. */
  public Part vocabulary() {
    return vocabulary;
  }
}
