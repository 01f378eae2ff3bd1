package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.UnaryOperation;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** The derivatives of {@link VectorUnary}'s functions times a gradient: one loop a function. */
final class VectorUnaryBackward {
  /** One of the loops below, for whole vectors. */
  @FunctionalInterface
  private interface Loop {
    void run(long x, long dy, long dx, int n);
  }

  private VectorUnaryBackward() {}

  /** dx = op'(x) dy for {@code n} floats; dx may be dy. */
  static void apply(UnaryOperation op, long x, long dy, long dx, int n) {
    Loop loop = loop(op);
    int rest = n % LENGTH;
    long end = 4L * (n - rest);
    long in = x;
    long gradient = dy;
    long to = dx;
    int count = n - rest;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      loop.run(in, gradient, to, count);
      if (turns > 1) {
        in = Pad.address();
        gradient = in + Lanes.BYTES;
        Pad.fill(in, x + end, rest, 1);
        Pad.fill(gradient, dy + end, rest, 1);
        to = gradient;
        count = LENGTH;
      }
    }
    Pad.copy(to, dx + end, rest);
  }

  /** The loop of an operation; an object for the same reason as in {@link VectorUnary}. */
  private static Loop loop(UnaryOperation op) {
    return switch (op) {
      case IDENTITY -> (x, dy, dx, n) -> Tiles.copy(dy, dx, n);
      case NEGATE -> (x, dy, dx, n) -> VectorUnary.apply(UnaryOperation.NEGATE, dy, dx, n);
      case EXP -> VectorUnaryBackward::exp;
      case LOG -> VectorUnaryBackward::log;
      case SQRT -> VectorUnaryBackward::sqrt;
      case RECIPROCAL -> VectorUnaryBackward::reciprocal;
      case SQUARE -> VectorUnaryBackward::square;
      case TANH -> VectorUnaryBackward::tanh;
      case SIGMOID -> VectorUnaryBackward::sigmoid;
      case RELU -> VectorUnaryBackward::relu;
      case GELU -> VectorUnaryBackward::gelu;
      case SILU -> VectorUnaryBackward::silu;
    };
  }

  private static void exp(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(VectorMath.exp(v).mul(g), dx + 4L * i);
    }
  }

  private static void log(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(g.div(v), dx + 4L * i);
    }
  }

  private static void sqrt(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(g.mul(0.5f).div(v.sqrt()), dx + 4L * i);
    }
  }

  private static void reciprocal(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(g.div(v.mul(v)).neg(), dx + 4L * i);
    }
  }

  private static void square(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(v.mul(g).mul(2f), dx + 4L * i);
    }
  }

  private static void tanh(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(VectorMath.tanhDerivative(v).mul(g), dx + 4L * i);
    }
  }

  private static void sigmoid(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(VectorMath.sigmoidDerivative(v).mul(g), dx + 4L * i);
    }
  }

  private static void relu(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(g.blend(0f, v.compare(VectorOperators.GT, 0f).not()), dx + 4L * i);
    }
  }

  private static void gelu(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(VectorMath.geluDerivative(v).mul(g), dx + 4L * i);
    }
  }

  private static void silu(long xStart, long dyStart, long dxStart, int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      FloatVector g = load(dy + 4L * i);
      store(VectorMath.siluDerivative(v).mul(g), dx + 4L * i);
    }
  }
}
