package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Bf16Conversion.load;
import static dev.heddle.runtime.cpu.Bf16Conversion.storeResult;
import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.UnaryOperation;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * Element-wise functions that training steps are full of, on runs of bf16 values at raw addresses:
 * widened, computed in F32 and rounded in registers. Bits are those of the F32 loops between two
 * conversions. One loop a function; see {@link VectorUnary} for why.
 */
final class Bf16Loops {
  private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

  /** The bits of 1, which no function makes slow or infinite. */
  private static final short ONE = 0x3f80;

  /** A function of one or two runs; {@code y} may be one of them. */
  @FunctionalInterface
  interface Loop {
    /**
     * Computes {@code n} values, a multiple of {@link Lanes#LENGTH}.
     *
     * @param b 0 for a function of one run
     */
    void run(long a, long b, long y, int n);
  }

  private Bf16Loops() {}

  /** y = op(a), or null where there is no loop of its own. */
  static @Nullable Loop unary(UnaryOperation op) {
    return switch (op) {
      case GELU -> Bf16Loops::gelu;
      case SILU -> Bf16Loops::silu;
      default -> null;
    };
  }

  /** y = op'(a) b, or null. */
  static @Nullable Loop unaryBackward(UnaryOperation op) {
    return switch (op) {
      case GELU -> Bf16Loops::geluBackward;
      case SILU -> Bf16Loops::siluBackward;
      default -> null;
    };
  }

  /** y = op(a, b), or null. */
  static @Nullable Loop binary(BinaryOperation op) {
    return switch (op) {
      case ADD -> Bf16Loops::add;
      case MULTIPLY -> Bf16Loops::multiply;
      default -> null;
    };
  }

  /** y = alpha a. */
  static Loop scale(float alpha) {
    return (a, b, y, n) -> scale(a, alpha, y, n);
  }

  /** y = a + alpha b. */
  static Loop addScaled(float alpha) {
    return (a, b, y, n) -> addScaled(a, alpha, b, y, n);
  }

  /** A loop over any number of values: the last ones, fewer than a vector has, by a padded copy. */
  static void run(Loop loop, long a, long b, long y, int n) {
    int rest = n % LENGTH;
    int whole = n - rest;
    loop.run(a, b, y, whole);
    if (rest == 0) {
      return;
    }
    long end = 2L * whole;
    long left = Pad.address();
    long right = left + Lanes.BYTES;
    fill(left, a + end, rest);
    if (b != 0) {
      fill(right, b + end, rest);
    }
    loop.run(left, right, left, LENGTH);
    copy(left, y + end, rest);
  }

  private static void fill(long pad, long from, int count) {
    copy(from, pad, count);
    for (int i = count; i < LENGTH; i++) {
      Lanes.MEMORY.set(SHORT, pad + 2L * i, ONE);
    }
  }

  private static void copy(long from, long to, int count) {
    for (int i = 0; i < count; i++) {
      Lanes.MEMORY.set(SHORT, to + 2L * i, Lanes.MEMORY.get(SHORT, from + 2L * i));
    }
  }

  private static void gelu(long aStart, long unused, long yStart, int n) {
    long a = address(aStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      storeResult(VectorMath.gelu(load(a + 2L * i)), y + 2L * i);
    }
  }

  private static void silu(long aStart, long unused, long yStart, int n) {
    long a = address(aStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      storeResult(VectorMath.silu(load(a + 2L * i)), y + 2L * i);
    }
  }

  /** In two loops: of one over both the compiler leaves calls, each of which makes objects. */
  private static void geluBackward(long a, long b, long y, int n) {
    long tile = Pad.tile();
    for (int at = 0; at < n; at += Pad.TILE) {
      int count = Math.min(Pad.TILE, n - at);
      geluDerivatives(a + 2L * at, tile, count);
      multiplyWidened(tile, b + 2L * at, y + 2L * at, count);
    }
  }

  /** F32 values of the derivative at bf16 values. */
  private static void geluDerivatives(long aStart, long yStart, int n) {
    long a = address(aStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      store(VectorMath.geluDerivative(load(a + 2L * i)), y + 4L * i);
    }
  }

  /** y = a b with an F32 {@code a}. */
  private static void multiplyWidened(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      storeResult(Lanes.load(a + 4L * i).mul(load(b + 2L * i)), y + 2L * i);
    }
  }

  private static void siluBackward(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector g = load(b + 2L * i);
      storeResult(VectorMath.siluDerivative(load(a + 2L * i)).mul(g), y + 2L * i);
    }
  }

  private static void add(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      storeResult(load(a + 2L * i).add(load(b + 2L * i)), y + 2L * i);
    }
  }

  private static void multiply(long aStart, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    for (int i = 0; i < n; i += LENGTH) {
      storeResult(load(a + 2L * i).mul(load(b + 2L * i)), y + 2L * i);
    }
  }

  private static void scale(long aStart, float alpha, long yStart, int n) {
    long a = address(aStart);
    long y = address(yStart);
    FloatVector factor = Lanes.broadcast(alpha);
    for (int i = 0; i < n; i += LENGTH) {
      storeResult(load(a + 2L * i).mul(factor), y + 2L * i);
    }
  }

  private static void addScaled(long aStart, float alpha, long bStart, long yStart, int n) {
    long a = address(aStart);
    long b = address(bStart);
    long y = address(yStart);
    FloatVector factor = Lanes.broadcast(alpha);
    for (int i = 0; i < n; i += LENGTH) {
      storeResult(load(b + 2L * i).fma(factor, load(a + 2L * i)), y + 2L * i);
    }
  }
}
