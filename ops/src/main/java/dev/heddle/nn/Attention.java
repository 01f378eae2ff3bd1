package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Reshape;
import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import org.jspecify.annotations.Nullable;

/**
 * Multi-head self-attention: one projection to q, k and v, attention, one projection back. x
 * [B,S,C] -> y [B,S,C].
 *
 * <p>Split over ranks by whole heads. The projection's weight is globally [3,H×D,C], split along
 * H×D, so that a rank has the same heads of q, k and v; parts need not be equal.
 */
public final class Attention extends Module {
  private final Layers layers;
  private final long localHeads;
  private final long headSize;
  private final Linear qkv;
  private final Linear projection;

  /**
   * Attention with {@code headCount} heads of {@code hiddenSize / headCount} features.
   *
   * @param weights initial values of the projection to q, k, v
   * @param residual initial values of the projection back to the residual stream
   */
  public Attention(
      Layers layers,
      String name,
      long hiddenSize,
      long headCount,
      Initializer weights,
      Initializer residual) {
    super(name);
    if (headCount <= 0 || hiddenSize % headCount != 0) {
      throw new IllegalArgumentException(
          "Attention " + name + ": hidden size " + hiddenSize + " and " + headCount
              + " heads; wanted a hidden size that is a multiple of the heads");
    }
    this.layers = layers;
    this.headSize = hiddenSize / headCount;
    Part heads = layers.part(headCount);
    this.localHeads = heads.size();
    Part features = heads.times(headSize);
    qkv =
        add(
            Linear.column(
                layers, name + ".qkv", hiddenSize, 3, features, UnaryOperation.IDENTITY, weights));
    projection = add(Linear.row(layers, name + ".projection", features, hiddenSize, residual));
  }

  /** How many heads are on this rank. */
  public long localHeads() {
    return localHeads;
  }

  /** Features of a head. */
  public long headSize() {
    return headSize;
  }

  /**
   * Attention within each sequence of the batch.
   *
   * @param rotary the angles of the S positions, or null for no rotary embedding
   */
  public Tensor forward(Tensor x, AttentionMask mask, @Nullable RotaryTable rotary) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      long batch = x.dim(0);
      Tensor packed = qkv.forward(x);
      long sequence = packed.dim(1);
      Tensor heads =
          layers.attention(
              Reshape.reshape(packed, batch, sequence, 3 * localHeads, headSize),
              localHeads,
              mask,
              1 / Math.sqrt(headSize),
              rotary);
      Tensor y =
          projection.forward(Reshape.reshape(heads, batch, sequence, localHeads * headSize));
      return inside.keep(y);
    }
  }
}
