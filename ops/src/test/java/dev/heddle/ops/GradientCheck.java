package dev.heddle.ops;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Random;
import java.util.function.Function;

/**
 * Compares an operator's gradients with central differences in F64, then runs it again with each
 * input alone requiring a gradient, with each input strided, and with a strided gradient: all must
 * give the same.
 */
final class GradientCheck {
  private static final double STEP = 1e-5;
  private static final double TOLERANCE = 2e-8;
  private static final double SAME = 1e-12;

  private final Function<Tensor[], Tensor> operator;
  private final double[][] inputs;
  private final NDArray[] arrays;
  private final double[] dy;

  private GradientCheck(Function<Tensor[], Tensor> operator, NDArray[] arrays) {
    this.operator = operator;
    this.arrays = arrays;
    this.inputs = new double[arrays.length][];
    for (int i = 0; i < arrays.length; i++) {
      inputs[i] = arrays[i].toDoubles();
    }
    try (GradientMode off = GradientMode.noGrad();
        MemoryScope scope = MemoryScope.open()) {
      long size = operator.apply(constants(arrays)).shape().size();
      dy = new Random(DeviceTest.SEED + 1).doubles(size, -1, 1).toArray();
    }
  }

  /** Checks the gradients of {@code operator} for all {@code inputs}, which are F64. */
  static void check(Function<Tensor[], Tensor> operator, NDArray... inputs) {
    GradientCheck check = new GradientCheck(operator, inputs);
    double[][] expected = check.differences();
    double[][] all = check.gradients(inputs, mask(inputs.length, -1), false);
    for (int i = 0; i < inputs.length; i++) {
      assertClose("gradient of input " + i, all[i], expected[i], TOLERANCE);
    }
    for (int i = 0; i < inputs.length; i++) {
      double[][] alone = check.gradients(inputs, mask(inputs.length, i), false);
      assertThat(alone[i]).as("gradient of input %d when only it needs one", i).isEqualTo(all[i]);
      NDArray[] strided = inputs.clone();
      strided[i] = strided(inputs[i]);
      double[][] ofStrided = check.gradients(strided, mask(inputs.length, -1), false);
      for (int j = 0; j < inputs.length; j++) {
        assertClose("gradient " + j + " with input " + i + " strided", ofStrided[j], all[j], SAME);
      }
    }
    double[][] ofStridedDy = check.gradients(inputs, mask(inputs.length, -1), true);
    for (int j = 0; j < inputs.length; j++) {
      assertClose("gradient " + j + " with a strided gradient", ofStridedDy[j], all[j], SAME);
    }
  }

  /** The same values at every other place of a larger array with its dims reversed. */
  static NDArray strided(NDArray x) {
    int rank = x.rank();
    if (rank == 0) {
      return x;
    }
    int[] reversed = new int[rank];
    long[] dims = new long[rank];
    for (int i = 0; i < rank; i++) {
      reversed[i] = rank - 1 - i;
      dims[i] = x.dim(rank - 1 - i) + 1;
    }
    NDArray larger = NDArray.full(x.device(), x.dtype(), Shape.of(dims), 77);
    NDArray view = larger.permute(reversed);
    for (int i = 0; i < rank; i++) {
      view = view.slice(i, 0, x.dim(i));
    }
    view.kernels().copy(x, view);
    return view;
  }

  private double[][] differences() {
    double[][] result = new double[arrays.length][];
    for (int i = 0; i < arrays.length; i++) {
      result[i] = new double[inputs[i].length];
      for (int j = 0; j < inputs[i].length; j++) {
        double above = value(i, j, STEP);
        double below = value(i, j, -STEP);
        result[i][j] = (above - below) / (2 * STEP);
      }
    }
    return result;
  }

  /** Σ y dy with one element of one input moved. */
  private double value(int input, int element, double step) {
    try (GradientMode off = GradientMode.noGrad();
        MemoryScope scope = MemoryScope.open()) {
      NDArray[] moved = new NDArray[arrays.length];
      for (int i = 0; i < arrays.length; i++) {
        double[] values = inputs[i].clone();
        if (i == input) {
          values[element] += step;
        }
        moved[i] = NDArray.of(arrays[i].device(), arrays[i].dtype(), arrays[i].shape(), values);
      }
      double[] y = operator.apply(constants(moved)).value().toDoubles();
      double sum = 0;
      for (int i = 0; i < y.length; i++) {
        sum += y[i] * dy[i];
      }
      return sum;
    }
  }

  private double[][] gradients(NDArray[] values, boolean[] needed, boolean stridedDy) {
    try (MemoryScope scope = MemoryScope.open()) {
      Tensor[] tensors = new Tensor[values.length];
      for (int i = 0; i < values.length; i++) {
        tensors[i] = needed[i] ? Tensor.leaf(values[i]) : Tensor.constant(values[i]);
      }
      Tensor y = operator.apply(tensors);
      NDArray gradient = NDArray.of(values[0].device(), y.dtype(), y.shape(), dy);
      y.backward(stridedDy ? strided(gradient) : gradient);
      double[][] result = new double[values.length][];
      for (int i = 0; i < values.length; i++) {
        if (needed[i]) {
          NDArray found = tensors[i].gradient();
          result[i] = found == null ? new double[inputs[i].length] : found.toDoubles();
        }
      }
      return result;
    }
  }

  private static Tensor[] constants(NDArray[] arrays) {
    Tensor[] tensors = new Tensor[arrays.length];
    for (int i = 0; i < arrays.length; i++) {
      tensors[i] = Tensor.constant(arrays[i]);
    }
    return tensors;
  }

  private static boolean[] mask(int count, int only) {
    boolean[] mask = new boolean[count];
    for (int i = 0; i < count; i++) {
      mask[i] = only < 0 || i == only;
    }
    return mask;
  }

  private static void assertClose(String what, double[] got, double[] wanted, double tolerance) {
    assertThat(got).as(what).hasSameSizeAs(wanted);
    for (int i = 0; i < got.length; i++) {
      double error = Math.abs(got[i] - wanted[i]) / Math.max(1, Math.abs(wanted[i]));
      assertThat(error)
          .as(
              "%s, element %d: got %s, wanted %s (seed %d)",
              what, i, got[i], wanted[i], DeviceTest.SEED)
          .isLessThan(tolerance);
    }
  }
}
