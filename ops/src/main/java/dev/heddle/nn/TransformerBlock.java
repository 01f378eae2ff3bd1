package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Add;
import dev.heddle.ops.Dropout;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * A pre-norm transformer block: h = x + attention(norm(x)); y = h + mlp(norm(h)). x [B,S,C] -> y
 * [B,S,C].
 *
 * <p>What the graph does not need is given back before the block returns.
 */
public final class TransformerBlock extends Module {
  private final double dropout;
  private final Norm attentionNorm;
  private final Attention attention;
  private final Norm mlpNorm;
  private final Mlp mlp;

  /** A block of the given shape. */
  public TransformerBlock(Layers layers, String name, TransformerShape shape) {
    super(name);
    dropout = shape.dropout();
    attentionNorm = norm(layers, name + ".attentionNorm", shape);
    attention =
        add(
            new Attention(
                layers,
                name + ".attention",
                shape.hiddenSize(),
                shape.headCount(),
                shape.weights(),
                shape.residualWeights()));
    mlpNorm = norm(layers, name + ".mlpNorm", shape);
    mlp =
        add(
            new Mlp(
                layers,
                name + ".mlp",
                shape.mlp(),
                shape.hiddenSize(),
                shape.mlpSize(),
                shape.hiddenSize(),
                shape.weights(),
                shape.residualWeights()));
  }

  private Norm norm(Layers layers, String name, TransformerShape shape) {
    return switch (shape.norm()) {
      case LAYER -> add(new LayerNorm(layers, name, shape.hiddenSize(), shape.epsilon()));
      case RMS -> add(new RmsNorm(layers, name, shape.hiddenSize(), shape.epsilon()));
    };
  }

  /** The block's result for {@code x}. */
  public Tensor forward(Tensor x, BlockContext context) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      return inside.keep(mlpPart(attentionPart(x, context), context));
    }
  }

  private Tensor attentionPart(Tensor x, BlockContext context) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = attention.forward(attentionNorm.forward(x), context.mask(), context.rotary());
      return inside.keep(Add.add(x, dropped(y, context, ".attention.dropout")));
    }
  }

  private Tensor mlpPart(Tensor h, BlockContext context) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = mlp.forward(mlpNorm.forward(h));
      return inside.keep(Add.add(h, dropped(y, context, ".mlp.dropout")));
    }
  }

  private Tensor dropped(Tensor y, BlockContext context, String place) {
    BlockContext.DropoutDraw draw = context.dropout();
    if (draw == null || dropout == 0) {
      return y;
    }
    RandomKey key = draw.key().with(RandomKey.of(0, name() + place).stream());
    return Dropout.dropout(y, dropout, key, draw.index());
  }
}
