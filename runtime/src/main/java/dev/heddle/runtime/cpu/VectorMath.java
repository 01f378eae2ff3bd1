package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.broadcast;
import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.EQ;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LT;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * Elementary functions of float vectors by polynomials and exact operations only. The library's own
 * ({@code lanewise(EXP)}) are not used: they give other bits before they are compiled than after,
 * and are slow where the platform has no vector mathematics library.
 *
 * <p>All constants are vectors made once. Making them where they are used, {@code x.fma(2f, 1f)},
 * costs nothing at run time but hundreds of nodes each in the compiler, which stops inlining at
 * 18,000: a function half inlined is five times slower than one that is not.
 */
final class VectorMath {
  static final FloatVector ZERO = broadcast(0f);
  static final FloatVector ONE = broadcast(1f);
  private static final FloatVector MINUS_HALF = broadcast(-0.5f);
  static final FloatVector INFINITY = broadcast(Float.POSITIVE_INFINITY);
  private static final FloatVector MINUS_INFINITY = broadcast(Float.NEGATIVE_INFINITY);
  private static final FloatVector NAN = broadcast(Float.NaN);

  static final FloatVector LOG2_E = broadcast(1.44269504088896341f);
  private static final FloatVector LN2_HIGH = broadcast(0.693359375f);
  private static final FloatVector LN2_LOW = broadcast(-2.12194440e-4f);
  static final FloatVector MINUS_LN2_HIGH = broadcast(-0.693359375f);
  static final FloatVector MINUS_LN2_LOW = broadcast(2.12194440e-4f);

  /** Adding it to a float below 2^22 leaves the nearest integer in the low bits. */
  static final FloatVector ROUNDER = broadcast(12582912f);

  /** Below it e^x is subnormal; zero is written, because subnormal arithmetic is very slow. */
  static final FloatVector EXP_UNDERFLOW = broadcast(-87.33654f);

  static final FloatVector EXP_OVERFLOW = broadcast(88.72283f);
  static final FloatVector EXP_2 = broadcast(5.0000001201e-1f);
  static final FloatVector EXP_3 = broadcast(1.6666665459e-1f);
  static final FloatVector EXP_4 = broadcast(4.1665795894e-2f);
  static final FloatVector EXP_5 = broadcast(8.3334519073e-3f);
  static final FloatVector EXP_6 = broadcast(1.3981999507e-3f);
  static final FloatVector EXP_7 = broadcast(1.9875691500e-4f);

  // 2^f - 1 for f in [-1/2, 1/2], fitted for the least error relative to 2^f: 1e-7.
  private static final FloatVector POWER_1 = broadcast(0.69314697759f);
  private static final FloatVector POWER_2 = broadcast(0.24022242078f);
  private static final FloatVector POWER_3 = broadcast(0.05550733759f);
  private static final FloatVector POWER_4 = broadcast(0.00967151299f);
  private static final FloatVector POWER_5 = broadcast(0.00132647223f);
  private static final FloatVector MINUS_HALF_LOG2_E = broadcast(-0.72134752044448170f);

  /** Twice what {@link #EXP_UNDERFLOW} is below 0. */
  private static final FloatVector DENSITY_UNDERFLOW = broadcast(174.67308f);

  private static final IntVector SQRT_HALF_BITS =
      IntVector.broadcast(Lanes.INTS, Float.floatToRawIntBits(0.70710677f));
  private static final FloatVector MIN_NORMAL = broadcast(Float.MIN_NORMAL);
  private static final FloatVector TWO_24 = broadcast(0x1p24f);
  private static final FloatVector TWENTY_FOUR = broadcast(24f);
  private static final FloatVector LOG_3 = broadcast(3.3333331174e-1f);
  private static final FloatVector LOG_4 = broadcast(-2.4999993993e-1f);
  private static final FloatVector LOG_5 = broadcast(2.0000714765e-1f);
  private static final FloatVector LOG_6 = broadcast(-1.6668057665e-1f);
  private static final FloatVector LOG_7 = broadcast(1.4249322787e-1f);
  private static final FloatVector LOG_8 = broadcast(-1.2420140846e-1f);
  private static final FloatVector LOG_9 = broadcast(1.1676998740e-1f);
  private static final FloatVector LOG_10 = broadcast(-1.1514610310e-1f);
  private static final FloatVector LOG_11 = broadcast(7.0376836292e-2f);

  private static final FloatVector TANH_BOUND = broadcast(7.9988117f);
  private static final FloatVector MINUS_TANH_BOUND = broadcast(-7.9988117f);
  private static final FloatVector TANH_TINY = broadcast(0.0004f);
  private static final FloatVector TANH_P1 = broadcast(4.89352455891786e-03f);
  private static final FloatVector TANH_P3 = broadcast(6.37261928875436e-04f);
  private static final FloatVector TANH_P5 = broadcast(1.48572235717979e-05f);
  private static final FloatVector TANH_P7 = broadcast(5.12229709037114e-08f);
  private static final FloatVector TANH_P9 = broadcast(-8.60467152213735e-11f);
  private static final FloatVector TANH_P11 = broadcast(2.00018790482477e-13f);
  private static final FloatVector TANH_P13 = broadcast(-2.76076847742355e-16f);
  private static final FloatVector TANH_Q0 = broadcast(4.89352518554385e-03f);
  private static final FloatVector TANH_Q2 = broadcast(2.26843463243900e-03f);
  private static final FloatVector TANH_Q4 = broadcast(1.18534705686654e-04f);
  private static final FloatVector TANH_Q6 = broadcast(1.19825839466702e-06f);

  private static final FloatVector DENSITY_AT_0 = broadcast(0.39894228f);
  private static final FloatVector TAIL_STEP = broadcast(0.36f);
  private static final FloatVector TAIL_1 = broadcast(0.14371306232f);
  private static final FloatVector TAIL_2 = broadcast(0.14177220889f);
  private static final FloatVector TAIL_3 = broadcast(0.13972069046f);
  private static final FloatVector TAIL_4 = broadcast(0.02654506838f);
  private static final FloatVector TAIL_5 = broadcast(0.18096076810f);
  private static final FloatVector TAIL_6 = broadcast(-0.17977006574f);
  private static final FloatVector TAIL_7 = broadcast(0.04705796578f);

  private VectorMath() {}

  /** e^x; relative error below 2e-7, 0 where the result would be subnormal. */
  static FloatVector exp(FloatVector x) {
    return expOfNonPositive(x).blend(INFINITY, x.compare(GT, EXP_OVERFLOW));
  }

  /** {@link #exp} for x that is never above 88.7: a difference from a maximum. */
  static FloatVector expOfNonPositive(FloatVector x) {
    return expOfModerate(x).blend(ZERO, x.compare(LT, EXP_UNDERFLOW));
  }

  /**
   * {@link #exp} for x within the range where the result is a normal number, else nonsense: 2^n
   * times a polynomial in the rest (Cephes, expf). To clamp x first would cost more than the
   * polynomial: Java's minimum and maximum take five instructions.
   */
  private static FloatVector expOfModerate(FloatVector x) {
    FloatVector shifted = x.fma(LOG2_E, ROUNDER);
    FloatVector n = shifted.sub(ROUNDER);
    FloatVector r = n.fma(MINUS_LN2_HIGH, x);
    r = n.fma(MINUS_LN2_LOW, r);
    FloatVector p = r.fma(EXP_7, EXP_6);
    p = p.fma(r, EXP_5);
    p = p.fma(r, EXP_4);
    p = p.fma(r, EXP_3);
    p = p.fma(r, EXP_2);
    p = p.fma(r.mul(r), r.add(ONE));
    IntVector exponent = shifted.reinterpretAsInts().lanewise(LSHL, 23);
    return p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
  }

  /** Natural logarithm; relative error below 2e-7, absolute near 1 (Cephes, logf). */
  static FloatVector log(FloatVector x) {
    VectorMask<Float> tiny = x.compare(LT, MIN_NORMAL);
    FloatVector scaled = x.blend(x.mul(TWO_24), tiny);
    IntVector bits = scaled.reinterpretAsInts();
    // Splits x into (1 + m) 2^e with 1 + m in [sqrt(1/2), sqrt(2)).
    IntVector e = bits.sub(SQRT_HALF_BITS).lanewise(ASHR, 23);
    FloatVector m = bits.sub(e.lanewise(LSHL, 23)).reinterpretAsFloats().sub(ONE);
    FloatVector exponent = (FloatVector) e.convertShape(VectorOperators.I2F, Lanes.SPECIES, 0);
    exponent = exponent.blend(exponent.sub(TWENTY_FOUR), tiny);
    FloatVector p = m.fma(LOG_11, LOG_10);
    p = p.fma(m, LOG_9);
    p = p.fma(m, LOG_8);
    p = p.fma(m, LOG_7);
    p = p.fma(m, LOG_6);
    p = p.fma(m, LOG_5);
    p = p.fma(m, LOG_4);
    p = p.fma(m, LOG_3);
    FloatVector square = m.mul(m);
    FloatVector y = p.mul(m).mul(square);
    y = exponent.fma(LN2_LOW, y);
    y = square.fma(MINUS_HALF, y).add(m);
    y = exponent.fma(LN2_HIGH, y);
    // Infinity and NaN stay; a negative number has no logarithm; zero has -infinity.
    y = y.blend(x, x.compare(LT, INFINITY).not());
    y = y.blend(NAN, x.compare(LT, ZERO));
    return y.blend(MINUS_INFINITY, x.compare(EQ, ZERO));
  }

  /** Hyperbolic tangent by a rational function; relative error below 5e-7. */
  static FloatVector tanh(FloatVector x) {
    FloatVector z = x.blend(TANH_BOUND, x.compare(GT, TANH_BOUND));
    z = z.blend(MINUS_TANH_BOUND, z.compare(LT, MINUS_TANH_BOUND));
    FloatVector s = z.mul(z);
    FloatVector p = s.fma(TANH_P13, TANH_P11);
    p = p.fma(s, TANH_P9);
    p = p.fma(s, TANH_P7);
    p = p.fma(s, TANH_P5);
    p = p.fma(s, TANH_P3);
    p = p.fma(s, TANH_P1).mul(z);
    FloatVector q = s.fma(TANH_Q6, TANH_Q4);
    q = q.fma(s, TANH_Q2);
    q = q.fma(s, TANH_Q0);
    return p.div(q).blend(x, z.abs().compare(LT, TANH_TINY));
  }

  /** 1 - tanh(x)². */
  static FloatVector tanhDerivative(FloatVector x) {
    FloatVector y = tanh(x);
    return ONE.sub(y.mul(y));
  }

  /** 1 / (1 + e^-x). */
  static FloatVector sigmoid(FloatVector x) {
    return ONE.div(exp(x.neg()).add(ONE));
  }

  /** s (1 - s) with s = sigmoid(x). */
  static FloatVector sigmoidDerivative(FloatVector x) {
    FloatVector s = sigmoid(x);
    return s.sub(s.mul(s));
  }

  /**
   * e^(-x²/2); relative error below 2e-7 but for that of x², 0 where the result would be subnormal.
   * As {@link #expOfModerate}, with the fit of 2^f, and by pairs of terms: of a function this long
   * the processor has few vectors at a time under way, so that it waits for whatever is a chain.
   */
  private static FloatVector density(FloatVector x) {
    FloatVector square = x.mul(x);
    FloatVector shifted = square.fma(MINUS_HALF_LOG2_E, ROUNDER);
    FloatVector f = square.fma(MINUS_HALF_LOG2_E, ROUNDER.sub(shifted));
    FloatVector high = f.fma(POWER_5, POWER_4);
    FloatVector middle = f.fma(POWER_3, POWER_2);
    FloatVector low = f.fma(POWER_1, ONE);
    FloatVector u = f.mul(f);
    FloatVector p = high.fma(u, middle).fma(u, low);
    IntVector exponent = shifted.reinterpretAsInts().lanewise(LSHL, 23);
    FloatVector power = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
    return power.blend(ZERO, square.compare(GT, DENSITY_UNDERFLOW));
  }

  /**
   * Φ(-|x|) for the normal distribution function Φ, given e^(-x²/2): that times a polynomial in 1 /
   * (1 + 0.36 |x|) fitted for the least relative error (1.2e-6), so that the lower tail keeps its
   * digits.
   */
  private static FloatVector lowerTail(FloatVector x, FloatVector density) {
    FloatVector t = ONE.div(x.abs().fma(TAIL_STEP, ONE));
    FloatVector high = t.fma(TAIL_6, TAIL_5);
    FloatVector middle = t.fma(TAIL_4, TAIL_3);
    FloatVector low = t.fma(TAIL_2, TAIL_1);
    FloatVector u = t.mul(t);
    FloatVector p = u.fma(TAIL_7, high).fma(u, middle).fma(u, low);
    return p.mul(t.mul(density));
  }

  /** x Φ(x), Φ the normal distribution function. */
  static FloatVector gelu(FloatVector x) {
    FloatVector tail = lowerTail(x, density(x));
    return x.mul(ONE.sub(tail).blend(tail, x.compare(LT, ZERO)));
  }

  /** Φ(x) + x φ(x), the derivative of {@link #gelu}. */
  static FloatVector geluDerivative(FloatVector x) {
    FloatVector density = density(x);
    FloatVector tail = lowerTail(x, density);
    FloatVector distribution = ONE.sub(tail).blend(tail, x.compare(LT, ZERO));
    return x.mul(density).fma(DENSITY_AT_0, distribution);
  }

  /** x sigmoid(x). */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(ONE));
  }

  /** s (1 + x (1 - s)) with s = sigmoid(x), the derivative of {@link #silu}. */
  static FloatVector siluDerivative(FloatVector x) {
    FloatVector s = sigmoid(x);
    return s.mul(x.fma(ONE.sub(s), ONE));
  }
}
