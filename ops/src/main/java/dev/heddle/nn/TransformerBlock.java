package dev.heddle.nn;

import static dev.heddle.ops.Add.add;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * A pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)). x [B,S,C] to
 * [B,S,C].
 */
public final class TransformerBlock extends Module {
  /** Deviation of initial weights, as GPT-2 has it. */
  public static final double DEVIATION = 0.02;

  private final LayerNorm attentionNorm;
  private final Attention attention;
  private final LayerNorm mlpNorm;
  private final Mlp mlp;

  /**
   * A block.
   *
   * @param size C
   * @param heads number of attention heads
   * @param mask causal for a language model, full for an encoder
   * @param depth how many blocks the model has: the layers that write to the residual stream start
   *     smaller by sqrt(2 depth), so that its variance does not grow with depth
   */
  public TransformerBlock(
      Layers layers, String name, long size, long heads, AttentionMask mask, int depth) {
    double residual = DEVIATION / Math.sqrt(2.0 * depth);
    this.attentionNorm = own(new LayerNorm(layers, name + ".attention.norm", size));
    this.attention =
        own(new Attention(layers, name + ".attention", size, heads, mask, DEVIATION, residual));
    this.mlpNorm = own(new LayerNorm(layers, name + ".mlp.norm", size));
    this.mlp =
        own(
            new Mlp(
                layers, name + ".mlp", Mlp.Kind.GELU, size, 4 * size, size, DEVIATION, residual));
  }

  /** Applies the block; intermediates that the backward does not need are given back at its end. */
  public Tensor forward(Tensor x) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor attended = add(x, attention.forward(attentionNorm.forward(x)));
      return inside.keep(add(attended, mlp.forward(mlpNorm.forward(attended))));
    }
  }
}
