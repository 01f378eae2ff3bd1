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
  private VectorUnaryBackward() {}

  /** dx = op'(x) dy for {@code n} floats; dx may be dy. */
  static void apply(UnaryOperation op, long x, long dy, long dx, int n) {
    int rest = n % LENGTH;
    long end = 4L * (n - rest);
    long in = x;
    long gradient = dy;
    long to = dx;
    int count = n - rest;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      vectors(op, in, gradient, to, count);
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

  /** {@link #apply} for whole vectors. */
  private static void vectors(UnaryOperation op, long x, long dy, long dx, int n) {
    switch (op) {
      case IDENTITY -> Tiles.copy(dy, dx, n);
      case NEGATE -> VectorUnary.apply(UnaryOperation.NEGATE, dy, dx, n);
      case EXP -> exp(x, dy, dx, n);
      case LOG -> log(x, dy, dx, n);
      case SQRT -> sqrt(x, dy, dx, n);
      case RECIPROCAL -> reciprocal(x, dy, dx, n);
      case SQUARE -> square(x, dy, dx, n);
      case TANH -> tanh(x, dy, dx, n);
      case SIGMOID -> sigmoid(x, dy, dx, n);
      case RELU -> relu(x, dy, dx, n);
      case GELU -> gelu(x, dy, dx, n);
      case SILU -> silu(x, dy, dx, n);
    }
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
