package dev.heddle.runtime.cpu;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;

/** Functions of single elements, and the sums that are the transpose of broadcasting. */
final class ReferenceElementwise {
  private static final double INVERSE_SQRT_2 = 0.70710678118654752440;
  private static final double INVERSE_SQRT_2_PI = 0.39894228040143267794;

  private ReferenceElementwise() {}

  static void unary(UnaryOperation op, NDArray x, NDArray y) {
    double[] values = HostValues.read(x);
    apply(op, values, values);
    HostValues.write(values, y);
  }

  /** y = op(x), where y may be x. */
  static void apply(UnaryOperation op, double[] x, double[] y) {
    int n = x.length;
    switch (op) {
      case IDENTITY -> System.arraycopy(x, 0, y, 0, n);
      case NEGATE -> {
        for (int i = 0; i < n; i++) {
          y[i] = -x[i];
        }
      }
      case EXP -> {
        for (int i = 0; i < n; i++) {
          y[i] = Math.exp(x[i]);
        }
      }
      case LOG -> {
        for (int i = 0; i < n; i++) {
          y[i] = Math.log(x[i]);
        }
      }
      case SQRT -> {
        for (int i = 0; i < n; i++) {
          y[i] = Math.sqrt(x[i]);
        }
      }
      case RECIPROCAL -> {
        for (int i = 0; i < n; i++) {
          y[i] = 1 / x[i];
        }
      }
      case SQUARE -> {
        for (int i = 0; i < n; i++) {
          y[i] = x[i] * x[i];
        }
      }
      case TANH -> {
        for (int i = 0; i < n; i++) {
          y[i] = Math.tanh(x[i]);
        }
      }
      case SIGMOID -> {
        for (int i = 0; i < n; i++) {
          y[i] = sigmoid(x[i]);
        }
      }
      case RELU -> {
        for (int i = 0; i < n; i++) {
          y[i] = Math.max(0, x[i]);
        }
      }
      case GELU -> {
        for (int i = 0; i < n; i++) {
          y[i] = x[i] * normalDistribution(x[i]);
        }
      }
      case SILU -> {
        for (int i = 0; i < n; i++) {
          y[i] = x[i] * sigmoid(x[i]);
        }
      }
    }
  }

  static void unaryBackward(UnaryOperation op, NDArray x, NDArray dy, NDArray dx) {
    double[] in = HostValues.read(x);
    double[] gradient = HostValues.read(dy);
    for (int i = 0; i < in.length; i++) {
      gradient[i] *= derivative(op, in[i]);
    }
    HostValues.write(gradient, dx);
  }

  private static double derivative(UnaryOperation op, double x) {
    return switch (op) {
      case IDENTITY -> 1;
      case NEGATE -> -1;
      case EXP -> Math.exp(x);
      case LOG -> 1 / x;
      case SQRT -> 0.5 / Math.sqrt(x);
      case RECIPROCAL -> -1 / (x * x);
      case SQUARE -> 2 * x;
      case TANH -> {
        double y = Math.tanh(x);
        yield 1 - y * y;
      }
      case SIGMOID -> {
        double y = sigmoid(x);
        yield y * (1 - y);
      }
      case RELU -> x > 0 ? 1 : 0;
      case GELU -> normalDistribution(x) + x * INVERSE_SQRT_2_PI * Math.exp(-0.5 * x * x);
      case SILU -> {
        double y = sigmoid(x);
        yield y * (1 + x * (1 - y));
      }
    };
  }

  static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  /** The standard normal distribution function; through erfc its lower tail keeps its digits. */
  private static double normalDistribution(double x) {
    return 0.5 * ErrorFunction.erfc(-x * INVERSE_SQRT_2);
  }

  static void binary(BinaryOperation op, NDArray a, NDArray b, NDArray y) {
    double[] left = HostValues.read(a.expand(y.shape()));
    double[] right = HostValues.read(b.expand(y.shape()));
    int n = left.length;
    switch (op) {
      case ADD -> {
        for (int i = 0; i < n; i++) {
          left[i] += right[i];
        }
      }
      case SUBTRACT -> {
        for (int i = 0; i < n; i++) {
          left[i] -= right[i];
        }
      }
      case MULTIPLY -> {
        for (int i = 0; i < n; i++) {
          left[i] *= right[i];
        }
      }
      case DIVIDE -> {
        for (int i = 0; i < n; i++) {
          left[i] /= right[i];
        }
      }
      case MAXIMUM -> {
        for (int i = 0; i < n; i++) {
          left[i] = Math.max(left[i], right[i]);
        }
      }
    }
    HostValues.write(left, y);
  }

  static void scale(NDArray x, double alpha, NDArray y) {
    double[] values = HostValues.read(x);
    for (int i = 0; i < values.length; i++) {
      values[i] *= alpha;
    }
    HostValues.write(values, y);
  }

  static void addScaled(NDArray x, double alpha, NDArray y) {
    double[] values = HostValues.read(x);
    double[] sum = HostValues.read(y);
    for (int i = 0; i < values.length; i++) {
      sum[i] += alpha * values[i];
    }
    HostValues.write(sum, y);
  }

  static void swiglu(NDArray gate, NDArray up, NDArray y) {
    double[] gates = HostValues.read(gate);
    double[] values = HostValues.read(up);
    for (int i = 0; i < values.length; i++) {
      values[i] *= gates[i] * sigmoid(gates[i]);
    }
    HostValues.write(values, y);
  }

  static void swigluBackward(NDArray gate, NDArray up, NDArray dy, NDArray dgate, NDArray dup) {
    double[] gates = HostValues.read(gate);
    double[] ups = HostValues.read(up);
    double[] gradient = HostValues.read(dy);
    double[] gateGradient = new double[gates.length];
    for (int i = 0; i < gates.length; i++) {
      double sigmoid = sigmoid(gates[i]);
      gateGradient[i] = gradient[i] * ups[i] * sigmoid * (1 + gates[i] * (1 - sigmoid));
      gradient[i] *= gates[i] * sigmoid;
    }
    HostValues.write(gateGradient, dgate);
    HostValues.write(gradient, dup);
  }

  static void sumTo(NDArray x, NDArray y) {
    double[] values = HostValues.read(x);
    double[] sums = new double[Math.toIntExact(y.size())];
    // The step in y for each dim of x: 0 for the dims that are summed over.
    Shape shape = x.shape();
    long[] packed = y.shape().contiguousStrides();
    int[] steps = new int[shape.rank()];
    for (int i = 1; i <= packed.length; i++) {
      steps[shape.rank() - i] = y.dim(-i) == 1 ? 0 : (int) packed[packed.length - i];
    }
    if (values.length > 0) {
      sumDim(shape, 0, steps, values, 0, sums, 0);
    }
    HostValues.write(sums, y);
  }

  private static int sumDim(
      Shape shape, int dim, int[] steps, double[] values, int from, double[] sums, int to) {
    if (dim == shape.rank()) {
      sums[to] += values[from];
      return from + 1;
    }
    int count = (int) shape.dim(dim);
    int step = steps[dim];
    if (dim == shape.rank() - 1) {
      for (int i = 0; i < count; i++) {
        sums[to + i * step] += values[from + i];
      }
      return from + count;
    }
    int next = from;
    for (int i = 0; i < count; i++) {
      next = sumDim(shape, dim + 1, steps, values, next, sums, to + i * step);
    }
    return next;
  }

  static double sumOfSquares(List<NDArray> arrays) {
    double sum = 0;
    for (NDArray array : arrays) {
      for (double value : HostValues.read(array)) {
        sum += value * value;
      }
    }
    return sum;
  }
}
