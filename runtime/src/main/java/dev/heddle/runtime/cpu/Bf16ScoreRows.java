package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.broadcast;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static jdk.incubator.vector.VectorOperators.EQ;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LT;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The loops of bf16 attention over rows of F32 scores, each in a method of its own and over whole
 * vectors only: what is hidden in a row's last vector is overwritten before. Rows are short, some
 * two hundred scores, so what a row costs beside its scores is as dear as they are. Its maximum is
 * therefore found in a loop before that over exponentials, so that the processor works on several
 * rows at a time and waits for none; logarithms are taken of many rows' sums at once.
 *
 * <p>Exponentials are rounded to bf16 where they are written, and need the digits of F32 nowhere.
 */
final class Bf16ScoreRows {
  private static final FloatVector ZERO = broadcast(0f);
  private static final FloatVector ONE = broadcast(1f);
  private static final FloatVector HIDDEN = broadcast(Float.NEGATIVE_INFINITY);
  private static final FloatVector LOG2_E = broadcast(1.44269504088896341f);

  /** Adding it to a float below 2^22 leaves the nearest integer in the low bits. */
  private static final FloatVector ROUNDER = broadcast(12582912f);

  /** Below it e^x is subnormal; zero is written, because subnormal arithmetic is very slow. */
  private static final FloatVector UNDERFLOW = broadcast(-87.33654f);

  private static final FloatVector MIN_NORMAL = broadcast(Float.MIN_NORMAL);

  // 2^f - 1 for f in [-1/2, 1/2], fitted for the least error relative to 2^f: 3e-6.
  static final FloatVector POWER_1 = broadcast(0.6931241924f);
  static final FloatVector POWER_2 = broadcast(0.2402409872f);
  static final FloatVector POWER_3 = broadcast(0.0559064302f);
  static final FloatVector POWER_4 = broadcast(0.0095828494f);

  private Bf16ScoreRows() {}

  /**
   * e^x within 4e-6 of its size, 1 at 0; 0 where the result would be subnormal. For x above 88.7
   * nonsense.
   */
  private static FloatVector exp(FloatVector x) {
    FloatVector shifted = x.fma(LOG2_E, ROUNDER);
    FloatVector f = x.fma(LOG2_E, ROUNDER.sub(shifted));
    FloatVector p = f.fma(POWER_4, POWER_3);
    p = p.fma(f, POWER_2);
    p = p.fma(f, POWER_1);
    p = p.fma(f, ONE);
    IntVector exponent = shifted.reinterpretAsInts().lanewise(LSHL, 23);
    FloatVector power = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
    return power.blend(ZERO, x.compare(LT, UNDERFLOW));
  }

  /** Multiplies {@code n} scores, a multiple of {@link Lanes#LENGTH}. */
  static void scale(long scores, float factor, int n) {
    long x = address(scores);
    FloatVector factors = broadcast(factor);
    for (int i = 0; i < n; i += LENGTH) {
      store(load(x + 4L * i).mul(factors), x + 4L * i);
    }
  }

  /** Of the vector at {@code scores} all but the first {@code visible} become -infinity. */
  static void hide(long scores, int visible) {
    long x = address(scores);
    store(HIDDEN.blend(load(x), Lanes.first(visible)), x);
  }

  /**
   * The largest of {@code n} scores, a multiple of {@link Lanes#LENGTH}, times {@code scale}, which
   * is positive; 0 where there is none above -infinity. What is not a number is left out.
   */
  static float maximum(long scores, float scale, int n) {
    long x = address(scores);
    FloatVector scales = broadcast(scale);
    // Java's maximum takes five instructions because of NaN and signed zeros. Two of what takes its
    // place, because each waits for the one before. They begin with a vector made here: from a
    // constant, which is an object, the compiler would make objects of all that follow.
    FloatVector even = broadcast(Float.NEGATIVE_INFINITY);
    FloatVector odd = even;
    int whole = n & -2 * LENGTH;
    for (int i = 0; i < whole; i += 2 * LENGTH) {
      FloatVector a = load(x + 4L * i).mul(scales);
      FloatVector b = load(x + 4L * i + Lanes.BYTES).mul(scales);
      even = even.blend(a, a.compare(GT, even));
      odd = odd.blend(b, b.compare(GT, odd));
    }
    if (whole < n) {
      FloatVector a = load(x + 4L * whole).mul(scales);
      even = even.blend(a, a.compare(GT, even));
    }
    FloatVector highest = even.blend(odd, odd.compare(GT, even));
    for (int distance = LENGTH / 2; distance > 0; distance /= 2) {
      FloatVector other = highest.rearrange(Lanes.swap(distance));
      highest = highest.blend(other, other.compare(GT, highest));
    }
    float top = highest.lane(0);
    return top == Float.NEGATIVE_INFINITY ? 0 : top;
  }

  /**
   * Probabilities exp(scale x - maximum) of {@code n} scores x, a multiple of {@link Lanes#LENGTH},
   * rounded.
   *
   * @return the sum of what was rounded
   */
  static float exponentials(long scores, float scale, float maximum, int n, long probabilities) {
    long x = address(scores);
    long to = address(probabilities);
    FloatVector scales = broadcast(scale);
    FloatVector shift = broadcast(maximum);
    FloatVector sums = Lanes.zero();
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector e = exp(load(x + 4L * i).mul(scales).sub(shift));
      sums = sums.add(e);
      Bf16Conversion.storeResult(e, to + 2L * i);
    }
    return Lanes.sumByHalves(sums);
  }

  /**
   * Of {@code count} rows' maxima and sums the log-sum-exps, -infinity for an empty sum, and in
   * place of the sums what the rows are to be multiplied by: 1 / sum, or 0. There is room for whole
   * vectors but in {@code logSumExps}.
   */
  static void normalizers(long maxima, long sums, int count, long logSumExps) {
    long m = address(maxima);
    long s = address(sums);
    long to = address(logSumExps);
    for (int i = 0; i < count; i += LENGTH) {
      FloatVector sum = load(s + 4L * i);
      FloatVector logSum = VectorMath.log(sum).add(load(m + 4L * i));
      store(logSum, to + 4L * i, Lanes.first(count - i));
      store(ONE.div(sum).blend(ZERO, sum.compare(EQ, ZERO)), s + 4L * i);
    }
  }

  /**
   * Rounds {@code count} rows of F32 values, each times its factor.
   *
   * @param fromStride bytes to the next row, as {@code toStride}
   * @param n values of a row
   */
  static void finish(
      long from, long fromStride, long factors, long to, long toStride, int count, int n) {
    int bound = n & -LENGTH;
    for (int row = 0; row < count; row++) {
      long x = address(from + row * fromStride);
      long y = address(to + row * toStride);
      float factor = Lanes.get(factors + 4L * row);
      FloatVector scale = broadcast(factor);
      for (int i = 0; i < bound; i += LENGTH) {
        Bf16Conversion.storeResult(load(x + 4L * i).mul(scale), y + 2L * i);
      }
      for (int i = bound; i < n; i++) {
        Bf16Conversion.set(y + 2L * i, Lanes.get(x + 4L * i) * factor);
      }
    }
  }

  /**
   * Of a row of {@code n} scores x for one key: probabilities p = exp(scale x - shift), and their
   * gradients scale p (gradient - delta), both rounded, zero where they are subnormal. The last
   * vector may be one that only begins here.
   */
  static void probabilities(
      long scores,
      long gradients,
      float scale,
      long shifts,
      long deltas,
      long rounded,
      long drounded,
      int n) {
    long x = address(scores);
    long dx = address(gradients);
    long shift = address(shifts);
    long delta = address(deltas);
    long to = address(rounded);
    long dto = address(drounded);
    FloatVector scales = broadcast(scale);
    for (int i = 0; i < n; i += LENGTH) {
      long at = 4L * i;
      FloatVector p = exp(load(x + at).mul(scales).sub(load(shift + at)));
      Bf16Conversion.storeResult(p, to + 2L * i);
      FloatVector centered = load(dx + at).sub(load(delta + at));
      FloatVector gradient = centered.mul(p).mul(scales);
      // As the processor's instruction for rounding does, and those of products that read it.
      FloatVector normal =
          gradient.blend(gradient.mul(ZERO), gradient.abs().compare(LT, MIN_NORMAL));
      Bf16Conversion.storeResult(normal, dto + 2L * i);
    }
  }

  /** The first {@code count} values of a row of bf16 values, whose vectors are whole, become 0. */
  static void clear(long row, int count) {
    long y = address(row);
    int bound = count & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      Bf16Conversion.storeZeros(y + 2L * i);
    }
    // Not by a mask: of what runs this seldom the compiler leaves calls that make objects.
    for (int i = bound; i < count; i++) {
      Bf16Conversion.set(y + 2L * i, 0);
    }
  }
}
