package dev.heddle.nn;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.Linear.linear;
import static dev.heddle.ops.Reshape.reshape;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/**
 * Multi-head self-attention (Vaswani et al., 2017): x [B,S,C] to [B,S,C]. Ranks divide the heads;
 * the projections to queries, keys and values are one weight of global shape [3, H D, C], so that a
 * rank's heads are one interval of dim 1.
 */
public final class Attention extends Module {
  private final Layers layers;
  private final Parameter qkvWeight;
  private final Parameter qkvBias;
  private final Parameter outputWeight;
  private final Parameter outputBias;
  private final long localHeads;
  private final long headSize;
  private final AttentionMask mask;

  /**
   * Attention of {@code heads} heads over {@code size} features.
   *
   * @param outputDeviation deviation of the output projection's initial weights
   */
  public Attention(
      Layers layers,
      String name,
      long size,
      long heads,
      AttentionMask mask,
      double deviation,
      double outputDeviation) {
    if (heads <= 0 || size % heads != 0) {
      throw new IllegalArgumentException(
          "Attention "
              + name
              + ": "
              + size
              + " features do not divide by "
              + heads
              + " heads; choose a number of heads that divides the features");
    }
    this.layers = layers;
    this.mask = mask;
    this.headSize = size / heads;
    this.localHeads = layers.unitCount(heads);
    Initializer.Normal weights = new Initializer.Normal(deviation);
    this.qkvWeight =
        own(layers.parameter(name + ".qkv.weight", Shape.of(3, size, size), 1, heads, weights));
    this.qkvBias =
        own(layers.parameter(name + ".qkv.bias", Shape.of(3, size), 1, heads, Initializer.ZEROS));
    this.outputWeight =
        own(
            layers.parameter(
                name + ".output.weight",
                Shape.of(size, size),
                1,
                heads,
                new Initializer.Normal(outputDeviation)));
    this.outputBias =
        own(layers.parameter(name + ".output.bias", Shape.of(size), Initializer.ZEROS));
  }

  /** Applies the layer to x [B,S,C]. */
  public Tensor forward(Tensor x) {
    return forward(x, BlockContext.NONE);
  }

  /**
   * Applies the layer to the held positions of its sequences, x [B,S_held,C]; with rotary angles in
   * the context, queries and keys are rotated first.
   */
  public Tensor forward(Tensor x, BlockContext context) {
    return projected(mixed(x, context), context.sequence());
  }

  /**
   * The results of some positions only, which look at all: x [B,S,C] to [n,C]. The projection of
   * the others is not computed.
   *
   * @param rows [n] I64, numbering the positions of x lane by lane; not under {@linkplain
   *     Layers#isSequenceParallel sequence parallelism}
   */
  public Tensor forwardRows(Tensor x, NDArray rows, BlockContext context) {
    Tensor mixed = mixed(x, context);
    Tensor matrix = reshape(mixed, mixed.dim(0) * mixed.dim(1), mixed.dim(2));
    return projected(gatherRows(matrix, rows), null);
  }

  /** What this rank's heads see, [B,S_entered,H D]. */
  private Tensor mixed(Tensor x, BlockContext context) {
    SequenceSpec sequence = context.sequence();
    Tensor entered = layers.enter(x, sequence);
    long batch = entered.dim(0);
    long length = entered.dim(1);
    Tensor qkv = linear(entered, qkvWeight.tensor(), qkvBias.tensor());
    Tensor heads = reshape(qkv, batch, length, 3 * localHeads, headSize);
    double scale = 1 / Math.sqrt((double) headSize);
    Tensor mixed = layers.attention(heads, localHeads, mask, scale, sequence, context.rotary());
    return reshape(mixed, batch, length, localHeads * headSize);
  }

  private Tensor projected(Tensor flat, @Nullable SequenceSpec sequence) {
    if (!layers.isSplit()) {
      return linear(flat, outputWeight.tensor(), outputBias.tensor());
    }
    // The bias is added once, after the ranks' parts are summed.
    Tensor part = linear(flat, outputWeight.tensor(), null);
    return add(layers.leave(part, sequence), outputBias.tensor());
  }
}
