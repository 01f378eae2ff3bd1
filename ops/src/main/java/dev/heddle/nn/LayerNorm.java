package dev.heddle.nn;

import static dev.heddle.ops.LayerNorm.layerNorm;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;

/** Layer normalisation over the innermost dim, with weight and bias. */
public final class LayerNorm extends Module implements Norm {
  private static final double EPSILON = 1e-5;

  private final Parameter weight;
  private final Parameter bias;

  /** A norm over {@code size} features. */
  public LayerNorm(Layers layers, String name, long size) {
    this.weight = own(layers.parameter(name + ".weight", Shape.of(size), Initializer.ONES));
    this.bias = own(layers.parameter(name + ".bias", Shape.of(size), Initializer.ZEROS));
  }

  @Override
  public Tensor forward(Tensor x) {
    return layerNorm(x, weight.tensor(), bias.tensor(), EPSILON);
  }
}
