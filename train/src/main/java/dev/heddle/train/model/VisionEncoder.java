package dev.heddle.train.model;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.Patchify.patchify;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Linear;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.SequenceSpec;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * A vision transformer (Dosovitskiy et al., 2021) and the projector to the language model's width:
 * pictures [B,3,H,W] to rows [B P, language features], P patches a picture. It may be one rank's
 * stages of the whole encoder: the first stage has the patch embedding, the last the final norm and
 * the projector, and a rank makes no other parameters than its stages'.
 */
public final class VisionEncoder extends Module {
  private static final int CHANNELS = 3;

  private final Layers layers;
  private final ModelConfig.Vision sizes;
  private final Stages stages;
  private final @Nullable Entry entry;
  private final EncoderBlocks blocks;

  /** What stands before the blocks. */
  private record Entry(Linear patchEmbedding, Parameter positions) {}

  /** The whole encoder, whose rows have {@code languageSize} features. */
  public VisionEncoder(
      Layers layers, ModelConfig.Vision sizes, int projectorHiddenSize, int languageSize) {
    this(layers, sizes, projectorHiddenSize, languageSize, Stages.whole(sizes.layers()));
  }

  /** The stages of an encoder that this rank runs. */
  public VisionEncoder(
      Layers layers,
      ModelConfig.Vision sizes,
      int projectorHiddenSize,
      int languageSize,
      Stages stages) {
    this.layers = layers;
    this.sizes = sizes;
    this.stages = stages;
    this.entry = stages.runs(0) ? new Entry(own(patchEmbedding()), own(positions())) : null;
    this.blocks =
        own(
            new EncoderBlocks(
                layers,
                "vision",
                new EncoderBlocks.Sizes(
                    sizes.layers(),
                    sizes.hiddenSize(),
                    sizes.heads(),
                    sizes.recompute(),
                    projectorHiddenSize,
                    languageSize),
                stages));
  }

  private Linear patchEmbedding() {
    int patch = CHANNELS * sizes.patchSize() * sizes.patchSize();
    return new Linear(
        layers,
        "vision.patch",
        patch,
        sizes.hiddenSize(),
        1 / Math.sqrt(patch),
        UnaryOperation.IDENTITY);
  }

  private Parameter positions() {
    return layers.parameter(
        "vision.positions",
        Shape.of(sizes.patchCount(), sizes.hiddenSize()),
        new Initializer.Normal(TransformerBlock.DEVIATION));
  }

  /** The stages, and which of them this rank runs. */
  public Stages stages() {
    return stages;
  }

  /** Features of a patch. */
  public int size() {
    return sizes.hiddenSize();
  }

  /** All stages: the rows of {@code pictures} [B,3,H,W], picture by picture: [B P, features]. */
  public Tensor forward(Tensor pictures) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor x = pictures;
      for (int stage = 0; stage < stages.count(); stage++) {
        x = forward(stage, x);
      }
      return inside.keep(x);
    }
  }

  /**
   * One stage.
   *
   * @param stage a stage of this rank
   * @param x for the first stage pictures [B,3,H,W], for the others what the stage before handed
   *     on, [B,P_held,features]
   * @return what the next stage takes in; for the last stage the rows [B P_held, language features]
   */
  public Tensor forward(int stage, Tensor x) {
    stages.require(stage, "vision encoder");
    SequenceSpec patches = sequences(x.dim(0));
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = stage == 0 ? entered(x, patches) : x;
      return inside.keep(blocks.forward(stage, y, patches));
    }
  }

  /** The patches of some pictures, of which ranks may hold parts. */
  private SequenceSpec sequences(long pictures) {
    return SequenceSpec.of(pictures, sizes.patchCount());
  }

  /** How many patches of each picture this rank holds. */
  public int heldPatches() {
    return layers.heldPositions(sequences(1)).length;
  }

  private Tensor entered(Tensor pictures, SequenceSpec sequences) {
    Entry start = Objects.requireNonNull(entry);
    Tensor patches = patchify(pictures, sizes.patchSize());
    Tensor positions = start.positions.tensor();
    long[] held = layers.heldPositions(sequences);
    if (held.length < sequences.length()) {
      patches = held(patches, held);
      positions = gatherRows(positions, Sequences.onDevice(layers.device(), held));
    }
    return add(start.patchEmbedding.forward(patches), positions);
  }

  /** The patches of this rank, [B,P_held,values] of [B,P,values]. */
  private Tensor held(Tensor patches, long[] held) {
    long batch = patches.dim(0);
    long count = patches.dim(1);
    long[] rows = new long[Math.toIntExact(batch * held.length)];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = i / held.length * count + held[i % held.length];
    }
    Tensor matrix = reshape(patches, batch * count, patches.dim(2));
    Tensor chosen = gatherRows(matrix, Sequences.onDevice(layers.device(), rows));
    return reshape(chosen, batch, held.length, patches.dim(2));
  }
}
