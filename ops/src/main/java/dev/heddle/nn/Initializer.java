package dev.heddle.nn;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;

/**
 * How a parameter's values begin. Random values are drawn by (seed, name, global index), so a shard
 * gets exactly its part of what the whole tensor would have got.
 */
public sealed interface Initializer {
  // No method has a body here: a class of an interface with default methods initialises it, and
  // threads that begin at opposite ends would wait for each other.

  /** All zeros: biases. */
  Initializer ZEROS = new Constant(0);

  /** All ones: the weights of norms. */
  Initializer ONES = new Constant(1);

  /** Every element the same. */
  record Constant(double value) implements Initializer {
    @Override
    public void fill(NDArray values, RandomKey key, GlobalIndex index) {
      values.kernels().fill(values, value);
    }

    @Override
    public boolean isRandom() {
      return false;
    }
  }

  /** Normally distributed around zero. */
  record Normal(double deviation) implements Initializer {
    @Override
    public void fill(NDArray values, RandomKey key, GlobalIndex index) {
      values.kernels().randomNormal(key, index, 0, deviation, values);
    }

    @Override
    public boolean isRandom() {
      return true;
    }
  }

  /** Uniform in [-bound, bound). */
  record Uniform(double bound) implements Initializer {
    @Override
    public void fill(NDArray values, RandomKey key, GlobalIndex index) {
      values.kernels().randomUniform(key, index, -bound, bound, values);
    }

    @Override
    public boolean isRandom() {
      return true;
    }
  }

  /** Fills {@code values}, whose elements have the given global indices. */
  void fill(NDArray values, RandomKey key, GlobalIndex index);

  /** Whether values are drawn at random. */
  boolean isRandom();

  /** The type in which initial values are drawn, whatever the parameter's: F64 stays F64. */
  static DType drawnIn(DType parameter) {
    return parameter.accumulation();
  }
}
