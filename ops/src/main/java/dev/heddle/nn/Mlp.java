package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.SwiGlu;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;

/**
 * Two linear layers with a nonlinearity between them. x [..,in] -> y [..,out].
 *
 * <p>Split over ranks by hidden units. With SwiGLU the first weight is globally [2,hidden,in]
 * (gates, then values), split along the hidden units, so that a unit's gate and value are together.
 */
public final class Mlp extends Module implements Layer {
  /** What is between the two layers. */
  public enum Kind {
    GELU,
    SWIGLU
  }

  private final Kind kind;
  private final Linear up;
  private final Linear down;

  /**
   * An MLP with {@code hiddenSize} units.
   *
   * @param weights initial values of the first layer
   * @param residual initial values of the second layer
   */
  public Mlp(
      Layers layers,
      String name,
      Kind kind,
      long inSize,
      long hiddenSize,
      long outSize,
      Initializer weights,
      Initializer residual) {
    super(name);
    this.kind = kind;
    Part units = layers.part(hiddenSize);
    up =
        add(
            kind == Kind.GELU
                ? Linear.column(
                    layers, name + ".up", inSize, 1, units, UnaryOperation.GELU, weights)
                : Linear.column(
                    layers, name + ".up", inSize, 2, units, UnaryOperation.IDENTITY, weights));
    down = add(Linear.row(layers, name + ".down", units, outSize, residual));
  }

  @Override
  public Tensor forward(Tensor x) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      Tensor hidden = up.forward(x);
      return inside.keep(down.forward(kind == Kind.GELU ? hidden : SwiGlu.swiglu(hidden)));
    }
  }
}
