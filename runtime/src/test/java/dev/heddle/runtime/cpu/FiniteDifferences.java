package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.jspecify.annotations.Nullable;

/** Compares a backward kernel with central differences of the loss Σ y dy in F64. */
final class FiniteDifferences {
  /** y for the inputs. */
  interface Forward {
    NDArray apply(Kernels kernels, NDArray[] inputs);
  }

  /** The gradient of each input, given that of y; null where the input has none. */
  interface Backward {
    @Nullable NDArray[] apply(Kernels kernels, NDArray[] inputs, NDArray dy);
  }

  /** A named input. */
  record Input(Shape shape, double[] values) {}

  private static final double STEP = 1e-5;
  private static final long SEED = Long.getLong("heddle.seed", 20260727);

  private final CpuDevice device;
  private final RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(SEED);

  FiniteDifferences(CpuDevice device) {
    this.device = device;
  }

  Input normal(long... dims) {
    Shape shape = Shape.of(dims);
    double[] values = new double[(int) shape.size()];
    Arrays.setAll(values, i -> random.nextGaussian());
    return new Input(shape, values);
  }

  Input positive(long... dims) {
    Input input = normal(dims);
    return new Input(
        input.shape(), Arrays.stream(input.values()).map(v -> 0.2 + Math.abs(v)).toArray());
  }

  /** Fails unless every gradient agrees with the differences to 1e-7 of its size. */
  void check(String what, Forward forward, Backward backward, Input... inputs) {
    double[] dy;
    double[][] gradients = new double[inputs.length][];
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray[] arrays = arrays(inputs, -1, 0, 0);
      Kernels kernels = device.kernels(DType.F64);
      NDArray y = forward.apply(kernels, arrays);
      dy = new double[(int) y.size()];
      Arrays.setAll(dy, i -> random.nextGaussian());
      NDArray gradient = NDArray.of(device, DType.F64, y.shape(), dy);
      @Nullable NDArray[] results = backward.apply(kernels, arrays, gradient);
      for (int i = 0; i < results.length; i++) {
        NDArray result = results[i];
        if (result != null) {
          gradients[i] = result.toDoubles();
        }
      }
    }
    for (int i = 0; i < inputs.length; i++) {
      if (gradients[i] == null) {
        continue;
      }
      assertThat(gradients[i]).hasSize(inputs[i].values().length);
      for (int j = 0; j < gradients[i].length; j++) {
        double above = loss(forward, inputs, i, j, STEP, dy);
        double below = loss(forward, inputs, i, j, -STEP, dy);
        double slope = (above - below) / (2 * STEP);
        assertThat(gradients[i][j])
            .as("%s: gradient of input %d, element %d (-Dheddle.seed=%d)", what, i, j, SEED)
            .isCloseTo(slope, within(1e-7 * (1 + Math.abs(slope))));
      }
    }
  }

  private double loss(
      Forward forward, Input[] inputs, int which, int element, double step, double[] dy) {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray y = forward.apply(device.kernels(DType.F64), arrays(inputs, which, element, step));
      double[] values = y.toDoubles();
      double sum = 0;
      for (int i = 0; i < values.length; i++) {
        sum += values[i] * dy[i];
      }
      return sum;
    }
  }

  private NDArray[] arrays(Input[] inputs, int which, int element, double step) {
    NDArray[] arrays = new NDArray[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      double[] values = inputs[i].values().clone();
      if (i == which) {
        values[element] += step;
      }
      arrays[i] = NDArray.of(device, DType.F64, inputs[i].shape(), values);
    }
    return arrays;
  }
}
