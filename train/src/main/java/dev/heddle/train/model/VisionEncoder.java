package dev.heddle.train.model;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Patchify.patchify;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.nn.Initializer;
import dev.heddle.nn.LayerNorm;
import dev.heddle.nn.Layers;
import dev.heddle.nn.Linear;
import dev.heddle.nn.Mlp;
import dev.heddle.nn.Module;
import dev.heddle.nn.Parameter;
import dev.heddle.nn.TransformerBlock;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.ModelConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * A vision transformer (Dosovitskiy et al., 2021) and the projector to the language model's width:
 * pictures [B,3,H,W] to rows [B P, language features], P patches a picture.
 */
public final class VisionEncoder extends Module {
  private static final int CHANNELS = 3;

  private final ModelConfig.Vision sizes;
  private final Linear patchEmbedding;
  private final Parameter positions;
  private final List<TransformerBlock> blocks = new ArrayList<>();
  private final LayerNorm norm;
  private final Mlp projector;

  /** An encoder whose rows have {@code languageSize} features. */
  public VisionEncoder(
      Layers layers, ModelConfig.Vision sizes, int projectorHiddenSize, int languageSize) {
    this.sizes = sizes;
    int size = sizes.hiddenSize();
    int patch = CHANNELS * sizes.patchSize() * sizes.patchSize();
    double deviation = TransformerBlock.DEVIATION;
    this.patchEmbedding =
        own(
            new Linear(
                layers,
                "vision.patch",
                patch,
                size,
                1 / Math.sqrt(patch),
                UnaryOperation.IDENTITY));
    this.positions =
        own(
            layers.parameter(
                "vision.positions",
                Shape.of(sizes.patchCount(), size),
                new Initializer.Normal(deviation)));
    for (int i = 0; i < sizes.layers(); i++) {
      blocks.add(
          own(
              new TransformerBlock(
                  layers,
                  "vision.block" + i,
                  size,
                  sizes.heads(),
                  AttentionMask.FULL,
                  sizes.layers())));
    }
    this.norm = own(new LayerNorm(layers, "vision.norm", size));
    this.projector =
        own(
            new Mlp(
                layers,
                "vision.projector",
                Mlp.Kind.GELU,
                size,
                projectorHiddenSize,
                languageSize,
                1 / Math.sqrt(size),
                deviation));
  }

  /** The rows of {@code pictures} [B,3,H,W], picture by picture: [B P, language features]. */
  public Tensor forward(Tensor pictures) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor patches = patchify(pictures, sizes.patchSize());
      Tensor x = add(patchEmbedding.forward(patches), positions.tensor());
      for (TransformerBlock block : blocks) {
        x = block.forward(x);
      }
      Tensor rows = projector.forward(norm.forward(x));
      return inside.keep(reshape(rows, rows.dim(0) * rows.dim(1), rows.dim(2)));
    }
  }
}
