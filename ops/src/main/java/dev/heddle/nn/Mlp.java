package dev.heddle.nn;

import static dev.heddle.ops.Add.add;
import static dev.heddle.ops.Linear.linear;
import static dev.heddle.ops.SwiGlu.swiglu;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import org.jspecify.annotations.Nullable;

/**
 * Two linear layers with a non-linearity between: x [..., in] to [..., out]. Ranks divide the
 * hidden features. With SwiGLU (Shazeer, 2020) the first weight has global shape [2, hidden, in]:
 * gate and up.
 */
public final class Mlp extends Module {
  /** What stands between the two layers. */
  public enum Kind {
    GELU,
    SWIGLU
  }

  private final Layers layers;
  private final Kind kind;
  private final Parameter upWeight;
  private final Parameter upBias;
  private final Parameter downWeight;
  private final Parameter downBias;

  /**
   * An MLP with {@code hidden} hidden features.
   *
   * @param downDeviation deviation of the second layer's initial weights
   */
  public Mlp(
      Layers layers,
      String name,
      Kind kind,
      long in,
      long hidden,
      long out,
      double deviation,
      double downDeviation) {
    this.layers = layers;
    this.kind = kind;
    boolean gated = kind == Kind.SWIGLU;
    int hiddenDim = gated ? 1 : 0;
    Initializer.Normal weights = new Initializer.Normal(deviation);
    this.upWeight =
        own(
            layers.parameter(
                name + ".up.weight",
                gated ? Shape.of(2, hidden, in) : Shape.of(hidden, in),
                hiddenDim,
                hidden,
                weights));
    this.upBias =
        own(
            layers.parameter(
                name + ".up.bias",
                gated ? Shape.of(2, hidden) : Shape.of(hidden),
                hiddenDim,
                hidden,
                Initializer.ZEROS));
    this.downWeight =
        own(
            layers.parameter(
                name + ".down.weight",
                Shape.of(out, hidden),
                1,
                hidden,
                new Initializer.Normal(downDeviation)));
    this.downBias = own(layers.parameter(name + ".down.bias", Shape.of(out), Initializer.ZEROS));
  }

  /** Applies the layer to sequences that no rank divides. */
  public Tensor forward(Tensor x) {
    return forward(x, null);
  }

  /**
   * Applies the layer to the held positions of its sequences, [B,S_held,in] to [B,S_held,out].
   *
   * @param sequence the sequences before division; null only where no rank divides them
   */
  public Tensor forward(Tensor x, @Nullable SequenceSpec sequence) {
    Tensor entered = layers.enter(x, sequence);
    Tensor hidden =
        switch (kind) {
          case GELU -> linear(entered, upWeight.tensor(), upBias.tensor(), UnaryOperation.GELU);
          case SWIGLU -> swiglu(linear(entered, upWeight.tensor(), upBias.tensor()));
        };
    if (!layers.isSplit()) {
      return linear(hidden, downWeight.tensor(), downBias.tensor());
    }
    Tensor part = linear(hidden, downWeight.tensor(), null);
    return add(layers.leave(part, sequence), downBias.tensor());
  }
}
