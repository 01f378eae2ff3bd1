package dev.heddle.oracle;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.Random;

/**
 * One input of an {@link OperatorCase}: a shape and how it is filled.
 *
 * @param shape sizes of the dims
 * @param fill where the values come from
 * @param differentiable whether its gradient is compared
 */
record Input(Shape shape, Fill fill, boolean differentiable) {
  /** Draws the values of an input. */
  @FunctionalInterface
  interface Fill {
    /** The value of element {@code index}. */
    double draw(Random random, long index);
  }

  /** Normal values, mean 0 and deviation 1. */
  static Input normal(long... dims) {
    return new Input(Shape.of(dims), (random, index) -> random.nextGaussian(), true);
  }

  /** Normal values with that mean and deviation. */
  static Input normal(double mean, double deviation, long... dims) {
    return new Input(
        Shape.of(dims), (random, index) -> mean + deviation * random.nextGaussian(), true);
  }

  /** Values between {@code low} and {@code high}. */
  static Input uniform(double low, double high, long... dims) {
    return new Input(
        Shape.of(dims), (random, index) -> low + (high - low) * random.nextDouble(), true);
  }

  /** Whole numbers from {@code low} to {@code high}, both included, as I64. */
  static Input between(long low, long high, long... dims) {
    return new Input(
        Shape.of(dims), (random, index) -> low + random.nextInt((int) (high - low + 1)), false);
  }

  /** The given whole numbers, as I64. */
  static Input exactly(long... values) {
    return new Input(Shape.of(values.length), (random, index) -> values[(int) index], false);
  }

  /** A new array of {@code dtype} (of I64 for whole numbers), filled. */
  NDArray create(Device device, DType dtype, Random random) {
    double[] values = new double[Math.toIntExact(shape.size())];
    for (int i = 0; i < values.length; i++) {
      values[i] = fill.draw(random, i);
    }
    return NDArray.of(device, differentiable ? dtype : DType.I64, shape, values);
  }
}
