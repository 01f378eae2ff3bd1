package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;

/** RMS norm with a weight over the innermost dim; held whole by every rank. */
public final class RmsNorm extends Module implements Norm {
  private final Parameter weight;
  private final double epsilon;

  /** A norm of {@code size} features. */
  public RmsNorm(Layers layers, String name, long size, double epsilon) {
    super(name);
    this.epsilon = epsilon;
    weight =
        add(
            layers.parameter(
                ParameterSpec.whole(
                    name + ".weight", Shape.of(size), Initializer.ones(), false)));
  }

  @Override
  public Tensor forward(Tensor x) {
    return dev.heddle.ops.RmsNorm.rmsNorm(x, weight.tensor(), epsilon);
  }
}
