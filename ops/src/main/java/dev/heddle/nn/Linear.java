package dev.heddle.nn;

import static dev.heddle.ops.Linear.linear;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Add;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;

/**
 * y = f(x wᵀ + b). Whole, or with its output features ({@link #column}) or its input features
 * ({@link #row}) split over ranks, as in Shoeybi et al., "Megatron-LM", 2019.
 */
public final class Linear extends Module implements Layer {
  private enum Split {
    NONE,
    OUTPUT,
    INPUT
  }

  private final Layers layers;
  private final Split split;
  private final UnaryOperation activation;
  private final Parameter weight;
  private final Parameter bias;

  private Linear(
      Layers layers,
      String name,
      Split split,
      UnaryOperation activation,
      ParameterSpec weight,
      ParameterSpec bias) {
    super(name);
    this.layers = layers;
    this.split = split;
    this.activation = activation;
    this.weight = add(layers.parameter(weight));
    this.bias = add(layers.parameter(bias));
  }

  /** A layer that every rank computes whole: x [..,in] -> y [..,out]. */
  public static Linear whole(
      Layers layers, String name, long inSize, long outSize, Initializer initializer) {
    return new Linear(
        layers,
        name,
        Split.NONE,
        UnaryOperation.IDENTITY,
        ParameterSpec.whole(name + ".weight", Shape.of(outSize, inSize), initializer, true),
        ParameterSpec.whole(name + ".bias", Shape.of(outSize), Initializer.zeros(), false));
  }

  /**
   * A layer of which this rank computes some output features: x [..,in] -> y [..,parts × features
   * here].
   *
   * @param parts how many sets of {@code features} the output has, such as 3 for q, k and v; the
   *     weight is [parts, features, in], split along the features, so that each rank has the same
   *     features of each set
   * @param features which features of a set are here
   */
  public static Linear column(
      Layers layers,
      String name,
      long inSize,
      int parts,
      Part features,
      UnaryOperation activation,
      Initializer initializer) {
    long size = features.total();
    Shape weightShape = parts == 1 ? Shape.of(size, inSize) : Shape.of(parts, size, inSize);
    Shape biasShape = parts == 1 ? Shape.of(size) : Shape.of(parts, size);
    int dim = parts == 1 ? 0 : 1;
    return new Linear(
        layers,
        name,
        Split.OUTPUT,
        activation,
        ParameterSpec.sharded(name + ".weight", weightShape, dim, features, initializer, true),
        ParameterSpec.sharded(
            name + ".bias", biasShape, dim, features, Initializer.zeros(), false));
  }

  /**
   * A layer that sums over input features of which some are on this rank: x [..,features here] -> y
   * [..,out], complete on every rank.
   *
   * @param features which of the input features are here
   */
  public static Linear row(
      Layers layers, String name, Part features, long outSize, Initializer initializer) {
    return new Linear(
        layers,
        name,
        Split.INPUT,
        UnaryOperation.IDENTITY,
        ParameterSpec.sharded(
            name + ".weight", Shape.of(outSize, features.total()), 1, features, initializer, true),
        ParameterSpec.whole(name + ".bias", Shape.of(outSize), Initializer.zeros(), false));
  }

  @Override
  public Tensor forward(Tensor x) {
    Tensor w = weight.tensor();
    Tensor b = bias.tensor();
    return switch (split) {
      case NONE -> linear(x, w, b, activation);
      case OUTPUT -> linear(layers.enterParallel(x), w, b, activation);
      case INPUT ->
          layers.parallelDegree() == 1
              ? linear(x, w, b)
              // The bias belongs to the sum, not to each summand.
              : Add.add(layers.leaveParallel(linear(x, w, null)), b);
    };
  }

  /** The weight, [out, in] or [parts, features, in]. */
  public Parameter weight() {
    return weight;
  }

  /** The bias, [out] or [parts, features]. */
  public Parameter bias() {
    return bias;
  }
}
