package dev.heddle.optim;

import dev.heddle.nn.Parameter;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * Clipping by the global norm (Pascanu, Mikolov and Bengio, 2013): one number over all parameters
 * of all components. A rank sums the squares of what it holds ({@link #sumOfSquares}); where
 * parameters are split or spread over ranks the caller adds up those sums, each parameter once, and
 * the same factor follows everywhere ({@link #factor}).
 */
public final class GradientClipping {
  private GradientClipping() {}

  /** The sum of squares of the gradients that are here, in double precision; none counts 0. */
  public static double sumOfSquares(List<Parameter> parameters) {
    Map<DType, List<NDArray>> byType = new EnumMap<>(DType.class);
    for (Parameter parameter : parameters) {
      NDArray gradient = parameter.tensor().gradient();
      if (gradient != null) {
        byType.computeIfAbsent(gradient.dtype(), type -> new ArrayList<>()).add(gradient);
      }
    }
    double sum = 0;
    for (List<NDArray> gradients : byType.values()) {
      sum += gradients.get(0).kernels().sumOfSquares(gradients);
    }
    return sum;
  }

  /** The norm of all gradients, once scaled: sqrt of the sum of squares, times the scale. */
  public static double norm(double sumOfSquares, double gradientScale) {
    return Math.sqrt(sumOfSquares) * gradientScale;
  }

  /**
   * What gradients of this norm are multiplied by so that their norm is at most {@code maxNorm}.
   *
   * @param maxNorm positive; infinite for no clipping
   * @throws ArithmeticException if the norm is NaN or infinite: such a step must be skipped
   */
  public static double factor(double norm, double maxNorm) {
    if (!(maxNorm > 0)) {
      throw new IllegalArgumentException(
          "GradientClipping: largest norm " + maxNorm + "; wanted a positive one");
    }
    if (!Double.isFinite(norm)) {
      throw new ArithmeticException(
          "GradientClipping: the gradient norm is "
              + norm
              + ": a gradient overflowed; skip this step or lower the learning rate");
    }
    return norm > maxNorm ? maxNorm / norm : 1;
  }
}
