package dev.heddle.nn;

import static dev.heddle.ops.Linear.linear;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;

/** y = activation(x wᵀ + b), held whole by every rank: x [..., in] to y [..., out]. */
public final class Linear extends Module {
  private final Parameter weight;
  private final Parameter bias;
  private final UnaryOperation activation;

  /** A linear layer called {@code name}; weights normal with {@code deviation}, bias zero. */
  public Linear(
      Layers layers, String name, long in, long out, double deviation, UnaryOperation activation) {
    this.weight =
        own(
            layers.parameter(
                name + ".weight", Shape.of(out, in), new Initializer.Normal(deviation)));
    this.bias = own(layers.parameter(name + ".bias", Shape.of(out), Initializer.ZEROS));
    this.activation = activation;
  }

  /** Applies the layer. */
  public Tensor forward(Tensor x) {
    return linear(x, weight.tensor(), bias.tensor(), activation);
  }
}
