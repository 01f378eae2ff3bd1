package dev.heddle.nn;

import static dev.heddle.ops.RmsNorm.rmsNorm;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;

/** Root-mean-square normalisation over the innermost dim (Zhang and Sennrich, 2019). */
public final class RmsNorm extends Module implements Norm {
  private static final double EPSILON = 1e-6;

  private final Parameter weight;

  /** A norm over {@code size} features. */
  public RmsNorm(Layers layers, String name, long size) {
    this.weight = own(layers.parameter(name + ".weight", Shape.of(size), Initializer.ONES));
  }

  @Override
  public Tensor forward(Tensor x) {
    return rmsNorm(x, weight.tensor(), EPSILON);
  }
}
