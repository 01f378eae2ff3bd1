package dev.heddle.train.model;

import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Recompute;
import dev.heddle.autograd.Tensor;
import dev.heddle.nn.BlockContext;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Mlp;
import dev.heddle.nn.Module;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What an encoder has behind its embedding: transformer blocks in which every position sees every
 * other, a final norm, and the projector to the language model's width. It may be one rank's stages
 * of them; a rank makes no other parameters than its stages'.
 */
final class EncoderBlocks extends Module {
  private final Sizes sizes;
  private final Stages stages;
  private final Map<Integer, TransformerBlock> blocks = new TreeMap<>();
  private final @Nullable Exit exit;

  /**
   * The sizes of an encoder.
   *
   * @param layers blocks of the whole encoder
   * @param hiddenSize features between the blocks
   * @param recompute whether blocks are computed again for their backward
   * @param projectorHiddenSize hidden features of the projector
   * @param languageSize features of the rows that come out
   */
  record Sizes(
      int layers,
      int hiddenSize,
      int heads,
      boolean recompute,
      int projectorHiddenSize,
      int languageSize) {}

  /** What stands behind the blocks. */
  private record Exit(LayerNorm norm, Mlp projector) {}

  /** The stages of component {@code name}, after which its parameters are called. */
  EncoderBlocks(Layers layers, String name, Sizes sizes, Stages stages) {
    this.sizes = sizes;
    this.stages = stages;
    for (int stage : stages.mine()) {
      Interval mine = stages.blocks().get(stage);
      for (int i = (int) mine.start(); i < mine.end(); i++) {
        blocks.put(i, own(block(layers, name + ".block" + i)));
      }
    }
    this.exit =
        stages.runs(stages.last())
            ? new Exit(
                own(new LayerNorm(layers, name + ".norm", sizes.hiddenSize)),
                own(projector(layers, name + ".projector")))
            : null;
  }

  private TransformerBlock block(Layers layers, String name) {
    return new TransformerBlock(
        layers, name, sizes.hiddenSize, sizes.heads, AttentionMask.FULL, sizes.layers);
  }

  private Mlp projector(Layers layers, String name) {
    return new Mlp(
        layers,
        name,
        Mlp.Kind.GELU,
        sizes.hiddenSize,
        sizes.projectorHiddenSize,
        sizes.languageSize,
        1 / Math.sqrt(sizes.hiddenSize),
        TransformerBlock.DEVIATION);
  }

  /**
   * One stage.
   *
   * @param x [B,S_held,features]
   * @return the same shape; for the last stage the rows [B S_held, language features]
   */
  Tensor forward(int stage, Tensor x, SequenceSpec sequences) {
    BlockContext context = BlockContext.NONE.withSequence(sequences);
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = x;
      Interval mine = stages.blocks().get(stage);
      for (int i = (int) mine.start(); i < mine.end(); i++) {
        TransformerBlock block = Objects.requireNonNull(blocks.get(i));
        y =
            sizes.recompute
                ? Recompute.recompute(input -> block.forward(input, context), y)
                : block.forward(y, context);
      }
      return inside.keep(stage == stages.last() ? left(y, sequences) : y);
    }
  }

  private Tensor left(Tensor x, SequenceSpec sequences) {
    Exit end = Objects.requireNonNull(exit);
    Tensor rows = end.projector.forward(end.norm.forward(x), sequences);
    return reshape(rows, rows.dim(0) * rows.dim(1), rows.dim(2));
  }
}
