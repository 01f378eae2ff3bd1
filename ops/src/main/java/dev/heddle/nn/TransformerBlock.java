package dev.heddle.nn;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Dropout;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * A pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)). x [B,S,C] to
 * [B,S,C], S the positions that this rank holds.
 */
public final class TransformerBlock extends Module {
  /** Deviation of initial weights, as GPT-2 has it. */
  public static final double DEVIATION = 0.02;

  private final Layers layers;
  private final RandomKey attentionPlace;
  private final RandomKey mlpPlace;
  private final Norm attentionNorm;
  private final Attention attention;
  private final Norm mlpNorm;
  private final Mlp mlp;

  /**
   * A block as GPT-2 and ViT have it.
   *
   * @param size C
   * @param heads number of attention heads
   * @param mask causal for a language model, full for an encoder
   * @param depth how many blocks the model has: the layers that write to the residual stream start
   *     smaller by sqrt(2 depth), so that its variance does not grow with depth
   */
  public TransformerBlock(
      Layers layers, String name, long size, long heads, AttentionMask mask, int depth) {
    this(layers, name, size, heads, mask, depth, BlockStyle.gpt(size));
  }

  /**
   * A block.
   *
   * @param style its norms and its MLP; the other arguments as above
   */
  public TransformerBlock(
      Layers layers,
      String name,
      long size,
      long heads,
      AttentionMask mask,
      int depth,
      BlockStyle style) {
    double residual = DEVIATION / Math.sqrt(2.0 * depth);
    this.layers = layers;
    this.attentionPlace = RandomKey.of(0, name + ".attention.dropout");
    this.mlpPlace = RandomKey.of(0, name + ".mlp.dropout");
    this.attentionNorm = norm(style.norm(), layers, name + ".attention.norm", size);
    this.attention =
        own(new Attention(layers, name + ".attention", size, heads, mask, DEVIATION, residual));
    this.mlpNorm = norm(style.norm(), layers, name + ".mlp.norm", size);
    this.mlp =
        own(
            new Mlp(
                layers,
                name + ".mlp",
                style.mlp(),
                size,
                style.hiddenSize(),
                size,
                DEVIATION,
                residual));
  }

  private Norm norm(Norm.Kind kind, Layers layers, String name, long size) {
    return switch (kind) {
      case LAYER -> own(new LayerNorm(layers, name, size));
      case RMS -> own(new RmsNorm(layers, name, size));
    };
  }

  /** Applies the block, without rotary embedding and dropout. */
  public Tensor forward(Tensor x) {
    return forward(x, BlockContext.NONE);
  }

  /** Applies the block; intermediates that the backward does not need are given back as it goes. */
  public Tensor forward(Tensor x, BlockContext context) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      return inside.keep(throughMlp(throughAttention(x, context), context));
    }
  }

  /**
   * Some rows of what {@link #forward(Tensor, BlockContext)} would give, [n,C]: for a last block
   * where only some positions go on, such as those that a word is predicted after. All positions
   * are looked at, but what follows attention is computed for these rows only; the gradients are
   * those of all, since the others have none.
   *
   * @param x [B,S,C], the positions that this rank holds; not under {@linkplain
   *     Layers#isSequenceParallel sequence parallelism}
   * @param rows [n] I64, numbering the positions of x lane by lane
   * @throws IllegalStateException under sequence parallelism, where a rank does not hold the rows
   *     that it works on
   */
  public Tensor forwardRows(Tensor x, NDArray rows, BlockContext context) {
    if (layers.isSequenceParallel()) {
      throw new IllegalStateException(
          "TransformerBlock.forwardRows: ranks divide the positions between layers (sequence"
              + " parallelism), so none has all rows; use forward, and choose rows with"
              + " Layers.enterRows");
    }
    try (MemoryScope inside = MemoryScope.temporaries()) {
      if (context.dropout() != null) {
        // What is dropped is drawn by position.
        return inside.keep(gatherRows(matrix(forward(x, context)), rows));
      }
      Tensor chosen = rowsThroughAttention(x, rows, context);
      return inside.keep(throughMlp(chosen, BlockContext.NONE));
    }
  }

  private Tensor rowsThroughAttention(Tensor x, NDArray rows, BlockContext context) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = attention.forwardRows(attentionNorm.forward(x), rows, context);
      return inside.keep(add(gatherRows(matrix(x), rows), y));
    }
  }

  private static Tensor matrix(Tensor x) {
    return reshape(x, x.dim(0) * x.dim(1), x.dim(2));
  }

  private Tensor throughAttention(Tensor x, BlockContext context) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = attention.forward(attentionNorm.forward(x), context);
      return inside.keep(add(x, dropped(y, context, attentionPlace)));
    }
  }

  private Tensor throughMlp(Tensor x, BlockContext context) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor y = mlp.forward(mlpNorm.forward(x), context.sequence());
      return inside.keep(add(x, dropped(y, context, mlpPlace)));
    }
  }

  private Tensor dropped(Tensor y, BlockContext context, RandomKey place) {
    BlockContext.DropoutDraw draw = context.dropout();
    if (draw == null) {
      return y;
    }
    RandomKey key = draw.key().with(place.stream());
    SequenceSpec sequence = context.sequence();
    if (sequence == null || y.dim(1) == sequence.length()) {
      return Dropout.dropout(y, draw.probability(), key, draw.index());
    }
    long[] positions = layers.heldPositions(sequence);
    return Dropout.dropout(y, draw.probability(), key, draw.index(), positions);
  }
}
