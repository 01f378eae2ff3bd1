package dev.heddle.optim;

import dev.heddle.nn.Parameter;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * A stretch of the values that this rank holds of a parameter, counted in row-major order: what one
 * rank updates where ranks that hold the same values divide the work.
 *
 * @param parameter the parameter
 * @param start the first element
 * @param end the element behind the last
 */
public record ParameterPart(Parameter parameter, long start, long end) {
  /** Checks the bounds. */
  public ParameterPart {
    if (start < 0 || end < start || end > parameter.tensor().value().size()) {
      throw new IllegalArgumentException(
          "ParameterPart: elements [" + start + "," + end + ") are not within " + parameter);
    }
  }

  /** All that this rank holds of a parameter. */
  public static ParameterPart whole(Parameter parameter) {
    return new ParameterPart(parameter, 0, parameter.tensor().value().size());
  }

  /** Whether it is all that this rank holds. */
  public boolean isWhole() {
    return start == 0 && end == parameter.tensor().value().size();
  }

  /** How many elements it has. */
  public long size() {
    return end - start;
  }

  /**
   * These elements of an array of the parameter's local shape: the array itself if they are all,
   * else a view [size].
   */
  public NDArray of(NDArray array) {
    return isWhole() ? array : array.reshape(array.size()).slice(0, start, end);
  }

  /** These elements of the weight. */
  public NDArray weight() {
    return of(parameter.tensor().value());
  }

  /** These elements of the gradient, or null if there is none. */
  public @Nullable NDArray gradient() {
    NDArray gradient = parameter.tensor().gradient();
    return gradient == null ? null : of(gradient);
  }
}
