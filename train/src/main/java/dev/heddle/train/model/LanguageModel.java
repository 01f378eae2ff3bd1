package dev.heddle.train.model;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.PlaceRows.placeRows;
import static dev.heddle.ops.Reshape.reshape;
import static dev.heddle.ops.Slice.slice;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Embedding;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.nn.VocabularyHead;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A causal transformer over a fused sequence: a sample's image rows, then its words. Scores are
 * computed only where a word is to be predicted.
 */
public final class LanguageModel extends Module {
  private final int size;
  private final Embedding words;
  private final Parameter positions;
  private final List<TransformerBlock> blocks = new ArrayList<>();
  private final LayerNorm norm;
  private final VocabularyHead head;

  /** A model of {@code vocabularySize} words. */
  public LanguageModel(Layers layers, ModelConfig.Language sizes, int vocabularySize) {
    this.size = sizes.hiddenSize();
    double deviation = TransformerBlock.DEVIATION;
    this.words = own(new Embedding(layers, "language.words", vocabularySize, size, deviation));
    this.positions =
        own(
            layers.parameter(
                "language.positions",
                Shape.of(sizes.contextLength(), size),
                new Initializer.Normal(deviation)));
    for (int i = 0; i < sizes.layers(); i++) {
      blocks.add(
          own(
              new TransformerBlock(
                  layers,
                  "language.block" + i,
                  size,
                  sizes.heads(),
                  AttentionMask.CAUSAL,
                  sizes.layers())));
    }
    this.norm = own(new LayerNorm(layers, "language.norm", size));
    this.head = own(new VocabularyHead(layers, "language.head", size, vocabularySize, deviation));
  }

  /** The sum of the losses of the scored positions: one element. */
  public Tensor lossSum(Sequences sequences, @Nullable Tensor imageRows) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      return inside.keep(head.lossSum(scored(sequences, imageRows), sequences.targets()));
    }
  }

  /** The most probable next word at each scored position, [scored] I64. */
  public NDArray mostProbable(Sequences sequences, @Nullable Tensor imageRows) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      return inside.keep(head.mostProbable(scored(sequences, imageRows)));
    }
  }

  /** The features at the scored positions, [scored, features]. */
  private Tensor scored(Sequences sequences, @Nullable Tensor imageRows) {
    long batch = sequences.sampleCount();
    long length = sequences.length();
    Tensor rows = words.forward(sequences.ids());
    if (imageRows != null) {
      rows = placeRows(rows, sequences.imagePositions(), imageRows);
    }
    Tensor x = add(reshape(rows, batch, length, size), slice(positions.tensor(), 0, 0, length));
    for (TransformerBlock block : blocks) {
      x = block.forward(x);
    }
    return norm.forward(gatherRows(reshape(x, batch * length, size), sequences.scoredPositions()));
  }
}
