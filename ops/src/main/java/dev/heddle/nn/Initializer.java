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
  /** Every element the same. */
  record Constant(double value) implements Initializer {}

  /** Normally distributed around zero. */
  record Normal(double deviation) implements Initializer {}

  /** Uniform in [-bound, bound). */
  record Uniform(double bound) implements Initializer {}

  /** All zeros: biases. */
  Initializer ZEROS = new Constant(0);

  /** All ones: the weights of norms. */
  Initializer ONES = new Constant(1);

  /** Fills {@code values}, whose elements have the given global indices. */
  default void fill(NDArray values, RandomKey key, GlobalIndex index) {
    switch (this) {
      case Constant constant -> values.kernels().fill(values, constant.value());
      case Normal normal ->
          values.kernels().randomNormal(key, index, 0, normal.deviation(), values);
      case Uniform uniform ->
          values.kernels().randomUniform(key, index, -uniform.bound(), uniform.bound(), values);
    }
  }

  /** Whether values are drawn at random. */
  default boolean isRandom() {
    return !(this instanceof Constant);
  }

  /** The type in which initial values are drawn, whatever the parameter's: F64 stays F64. */
  static DType drawnIn(DType parameter) {
    return parameter.accumulation();
  }
}
