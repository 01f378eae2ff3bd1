package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;

/** Layer norm with weight and bias over the innermost dim; held whole by every rank. */
public final class LayerNorm extends Module implements Norm {
  private final Parameter weight;
  private final Parameter bias;
  private final double epsilon;

  /** A norm of {@code size} features. */
  public LayerNorm(Layers layers, String name, long size, double epsilon) {
    super(name);
    this.epsilon = epsilon;
    Shape shape = Shape.of(size);
    weight =
        add(
            layers.parameter(
                ParameterSpec.whole(name + ".weight", shape, Initializer.ones(), false)));
    bias =
        add(
            layers.parameter(
                ParameterSpec.whole(name + ".bias", shape, Initializer.zeros(), false)));
  }

  @Override
  public Tensor forward(Tensor x) {
    return dev.heddle.ops.LayerNorm.layerNorm(x, weight.tensor(), bias.tensor(), epsilon);
  }
}
