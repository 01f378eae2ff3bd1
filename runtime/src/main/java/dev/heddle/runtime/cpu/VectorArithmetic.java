package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.BinaryOperation;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * Arithmetic on runs of floats at raw addresses: two vectors, or a vector and one value. One loop
 * an operation; see {@link VectorUnary} for why.
 */
final class VectorArithmetic {
  private VectorArithmetic() {}

  /** y = alpha x for {@code n} floats; y may be x. */
  static void scale(long xStart, float alpha, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    FloatVector factor = Lanes.broadcast(alpha);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(x + 4L * i).mul(factor), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      store(load(x + 4L * bound, rest).mul(factor), y + 4L * bound, rest);
    }
  }

  /** y += alpha x for {@code n} floats. */
  static void addScaled(long xStart, float alpha, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    FloatVector factor = Lanes.broadcast(alpha);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(x + 4L * i).fma(factor, load(y + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector sum = load(x + 4L * bound, rest).fma(factor, load(y + 4L * bound, rest));
      store(sum, y + 4L * bound, rest);
    }
  }

  /** y = op(a, b) for {@code n} floats; y may be a or b. */
  static void apply(BinaryOperation op, long a, long b, long y, int n) {
    switch (op) {
      case ADD -> add(a, b, y, n);
      case SUBTRACT -> subtract(a, b, y, n);
      case MULTIPLY -> multiply(a, b, y, n);
      case DIVIDE -> divide(a, b, y, n);
      case MAXIMUM -> maximum(a, b, y, n);
    }
  }

  /** y = op(a, b) for {@code n} floats a and one value b; y may be a. */
  static void applyRight(BinaryOperation op, long a, float b, long y, int n) {
    switch (op) {
      case ADD -> addValue(a, b, y, n);
      case SUBTRACT -> addValue(a, -b, y, n);
      case MULTIPLY -> scale(a, b, y, n);
      case DIVIDE -> divideByValue(a, b, y, n);
      case MAXIMUM -> maximumOfValue(a, b, y, n);
    }
  }

  /** y = op(a, b) for one value a and {@code n} floats b; y may be b. */
  static void applyLeft(BinaryOperation op, float a, long b, long y, int n) {
    switch (op) {
      case ADD -> addValue(b, a, y, n);
      case SUBTRACT -> subtractFromValue(a, b, y, n);
      case MULTIPLY -> scale(b, a, y, n);
      case DIVIDE -> divideValue(a, b, y, n);
      case MAXIMUM -> maximumOfValue(b, a, y, n);
    }
  }

  /** op(a, b). */
  static float apply(BinaryOperation op, float a, float b) {
    return switch (op) {
      case ADD -> a + b;
      case SUBTRACT -> a - b;
      case MULTIPLY -> a * b;
      case DIVIDE -> a / b;
      case MAXIMUM -> Math.max(a, b);
    };
  }

  private static void add(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).add(load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector last = load(a + 4L * bound, rest).add(load(b + 4L * bound, rest));
      store(last, y + 4L * bound, rest);
    }
  }

  private static void subtract(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).sub(load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector last = load(a + 4L * bound, rest).sub(load(b + 4L * bound, rest));
      store(last, y + 4L * bound, rest);
    }
  }

  private static void multiply(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).mul(load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector last = load(a + 4L * bound, rest).mul(load(b + 4L * bound, rest));
      store(last, y + 4L * bound, rest);
    }
  }

  private static void divide(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).div(load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector last = load(a + 4L * bound, rest).div(load(b + 4L * bound, rest));
      store(last, y + 4L * bound, rest);
    }
  }

  private static void maximum(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).max(load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      FloatVector last = load(a + 4L * bound, rest).max(load(b + 4L * bound, rest));
      store(last, y + 4L * bound, rest);
    }
  }

  private static void addValue(long aStart, float value, long yStart, int n) {
    long a = address(aStart);
    long y = address(yStart);
    FloatVector all = Lanes.broadcast(value);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).add(all), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      store(load(a + 4L * bound, rest).add(all), y + 4L * bound, rest);
    }
  }

  private static void divideByValue(long aStart, float value, long yStart, int n) {
    long a = address(aStart);
    long y = address(yStart);
    FloatVector all = Lanes.broadcast(value);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).div(all), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      store(load(a + 4L * bound, rest).div(all), y + 4L * bound, rest);
    }
  }

  private static void maximumOfValue(long aStart, float value, long yStart, int n) {
    long a = address(aStart);
    long y = address(yStart);
    FloatVector all = Lanes.broadcast(value);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(a + 4L * i).max(all), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      store(load(a + 4L * bound, rest).max(all), y + 4L * bound, rest);
    }
  }

  private static void subtractFromValue(float value, long bStart, long yStart, int n) {
    long b = address(bStart);
    long y = address(yStart);
    FloatVector all = Lanes.broadcast(value);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(all.sub(load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      store(all.sub(load(b + 4L * bound, rest)), y + 4L * bound, rest);
    }
  }

  private static void divideValue(float value, long bStart, long yStart, int n) {
    long b = address(bStart);
    long y = address(yStart);
    FloatVector all = Lanes.broadcast(value);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(all.div(load(b + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      store(all.div(load(b + 4L * bound, rest)), y + 4L * bound, rest);
    }
  }
}
