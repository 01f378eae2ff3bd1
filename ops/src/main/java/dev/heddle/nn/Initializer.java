package dev.heddle.nn;

import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;

/**
 * Fills a new parameter. Values are drawn by the parameter's name and the <em>global</em> index of
 * each element, so every layout starts from the same model.
 */
@FunctionalInterface
public interface Initializer {
  /**
   * Writes all of {@code values}.
   *
   * @param values the part of the parameter that is here
   * @param key the stream of the parameter's name
   * @param index where the elements stand in the whole parameter
   */
  void fill(NDArray values, RandomKey key, GlobalIndex index);

  /** Normal values with mean 0. */
  static Initializer normal(double deviation) {
    return (values, key, index) ->
        values.kernels().randomNormal(key, index, 0, deviation, values);
  }

  /** Uniform values in [low, high). */
  static Initializer uniform(double low, double high) {
    return (values, key, index) -> values.kernels().randomUniform(key, index, low, high, values);
  }

  /** The same value everywhere. */
  static Initializer constant(double value) {
    return (values, key, index) -> values.kernels().fill(values, value);
  }

  /** All 0. */
  static Initializer zeros() {
    return constant(0);
  }

  /** All 1. */
  static Initializer ones() {
    return constant(1);
  }
}
