package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/** A table of vectors, one a word; ranks divide the words. */
public final class Embedding extends Module {
  private final Layers layers;
  private final Parameter table;
  private final long vocabularySize;

  /** A table of {@code vocabularySize} vectors of {@code size} features. */
  public Embedding(Layers layers, String name, long vocabularySize, long size, double deviation) {
    this.layers = layers;
    this.vocabularySize = vocabularySize;
    this.table =
        own(
            layers.parameter(
                name + ".weight",
                Shape.of(vocabularySize, size),
                0,
                vocabularySize,
                new Initializer.Normal(deviation)));
  }

  /** The table, [words, size]: for a head that shares it. */
  public Parameter weight() {
    return table;
  }

  /** The vectors of {@code ids} [n] I64, [n, size]; a negative id gives zeros. */
  public Tensor forward(NDArray ids) {
    return forward(ids, null);
  }

  /**
   * The vectors at the held positions of some sequences, [B S_held, size].
   *
   * @param ids those of the {@linkplain Layers#enteredPositions entered positions}, [B S_entered]
   *     I64; a negative id gives zeros
   */
  public Tensor forward(NDArray ids, @Nullable SequenceSpec sequence) {
    return layers.embedding(ids, table.tensor(), vocabularySize, sequence);
  }
}
