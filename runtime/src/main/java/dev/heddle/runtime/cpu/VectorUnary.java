package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.UnaryOperation;
import jdk.incubator.vector.FloatVector;

/**
 * The functions of one variable on runs of floats at raw addresses. One loop a function, written
 * out: a loop that calls a function object for each vector is four times slower as soon as two
 * functions have been used, because the call is no longer inlined.
 */
final class VectorUnary {
  /** One of the loops below, for whole vectors. */
  @FunctionalInterface
  private interface Loop {
    void run(long x, long y, int n);
  }

  private VectorUnary() {}

  /** y = op(x) for {@code n} floats; y may be x. */
  static void apply(UnaryOperation op, long x, long y, int n) {
    Loop loop = loop(op);
    int rest = n % LENGTH;
    long end = 4L * (n - rest);
    long from = x;
    long to = y;
    int count = n - rest;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      loop.run(from, to, count);
      if (turns > 1) {
        from = Pad.address();
        Pad.fill(from, x + end, rest, 1);
        to = from;
        count = LENGTH;
      }
    }
    Pad.copy(to, y + end, rest);
  }

  /**
   * The loop of an operation: an object, because of a switch over calls the compiler would inline
   * every loop in use, which is too much; see {@link RowStages}.
   */
  private static Loop loop(UnaryOperation op) {
    return switch (op) {
      case IDENTITY -> Tiles::copy;
      case NEGATE -> VectorUnary::negate;
      case EXP -> VectorUnary::exp;
      case LOG -> VectorUnary::log;
      case SQRT -> VectorUnary::sqrt;
      case RECIPROCAL -> VectorUnary::reciprocal;
      case SQUARE -> VectorUnary::square;
      case TANH -> VectorUnary::tanh;
      case SIGMOID -> VectorUnary::sigmoid;
      case RELU -> VectorUnary::relu;
      case GELU -> VectorUnary::gelu;
      case SILU -> VectorUnary::silu;
    };
  }

  /** {@link #apply} by rows, strides in bytes. */
  static void applyRows(
      UnaryOperation op, long x, long xStride, long y, long yStride, int rows, int columns) {
    for (int row = 0; row < rows; row++) {
      apply(op, x + row * xStride, y + row * yStride, columns);
    }
  }

  private static void negate(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(v.neg(), y + 4L * i);
    }
  }

  private static void exp(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(VectorMath.exp(v), y + 4L * i);
    }
  }

  private static void log(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(VectorMath.log(v), y + 4L * i);
    }
  }

  private static void sqrt(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(v.sqrt(), y + 4L * i);
    }
  }

  private static void reciprocal(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    FloatVector one = Lanes.broadcast(1f);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(one.div(v), y + 4L * i);
    }
  }

  private static void square(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(v.mul(v), y + 4L * i);
    }
  }

  private static void tanh(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(VectorMath.tanh(v), y + 4L * i);
    }
  }

  private static void sigmoid(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(VectorMath.sigmoid(v), y + 4L * i);
    }
  }

  private static void relu(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(v.max(0f), y + 4L * i);
    }
  }

  private static void gelu(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(VectorMath.gelu(v), y + 4L * i);
    }
  }

  private static void silu(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      store(VectorMath.silu(v), y + 4L * i);
    }
  }
}
