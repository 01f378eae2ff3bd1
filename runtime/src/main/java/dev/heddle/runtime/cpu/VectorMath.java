package dev.heddle.runtime.cpu;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * Elementary functions of float vectors by polynomials and exact operations only. The library's own
 * ({@code lanewise(EXP)}) are not used: they give other bits before they are compiled than after,
 * and are slow where the platform has no vector mathematics library.
 */
final class VectorMath {
  private static final VectorSpecies<Integer> INTS =
      VectorSpecies.of(int.class, Lanes.SPECIES.vectorShape());

  private static final float LOG2_E = 1.44269504088896341f;
  private static final float LN2_HIGH = 0.693359375f;
  private static final float LN2_LOW = -2.12194440e-4f;

  /** Adding it to a float below 2^22 leaves the nearest integer in the low bits. */
  private static final float ROUNDER = 12582912f;

  /** Below it e^x is subnormal; zero is written, because subnormal arithmetic is very slow. */
  static final float EXP_UNDERFLOW = -87.33654f;

  private static final float EXP_OVERFLOW = 88.72283f;

  private VectorMath() {}

  /** e^x; relative error below 2e-7, 0 where the result would be subnormal. */
  static FloatVector exp(FloatVector x) {
    FloatVector result = expOfModerate(x.max(EXP_UNDERFLOW).min(EXP_OVERFLOW));
    result = result.blend(0f, x.lt(EXP_UNDERFLOW));
    return result.blend(Float.POSITIVE_INFINITY, x.compare(VectorOperators.GT, EXP_OVERFLOW));
  }

  /** {@link #exp} for x that is never above 88.7: a difference from a maximum. */
  static FloatVector expOfNonPositive(FloatVector x) {
    FloatVector result = expOfModerate(x.max(EXP_UNDERFLOW));
    return result.blend(0f, x.lt(EXP_UNDERFLOW));
  }

  /** {@link #exp} for x within the range where the result is a normal number. */
  private static FloatVector expOfModerate(FloatVector x) {
    FloatVector shifted = x.fma(Lanes.broadcast(LOG2_E), Lanes.broadcast(ROUNDER));
    FloatVector n = shifted.sub(ROUNDER);
    FloatVector r = n.fma(Lanes.broadcast(-LN2_HIGH), x);
    r = n.fma(Lanes.broadcast(-LN2_LOW), r);
    FloatVector p = r.fma(Lanes.broadcast(1.9875691500e-4f), Lanes.broadcast(1.3981999507e-3f));
    p = p.fma(r, Lanes.broadcast(8.3334519073e-3f));
    p = p.fma(r, Lanes.broadcast(4.1665795894e-2f));
    p = p.fma(r, Lanes.broadcast(1.6666665459e-1f));
    p = p.fma(r, Lanes.broadcast(5.0000001201e-1f));
    p = p.fma(r.mul(r), r.add(1f));
    IntVector exponent = shifted.reinterpretAsInts().lanewise(LSHL, 23);
    return p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
  }

  /** Natural logarithm; relative error below 2e-7 (absolute near 1). */
  static FloatVector log(FloatVector x) {
    VectorMask<Float> tiny = x.lt(Float.MIN_NORMAL);
    FloatVector scaled = x.blend(x.mul(0x1p24f), tiny);
    IntVector bits = scaled.reinterpretAsInts();
    // Splits x into m 2^e with m in [sqrt(1/2), sqrt(2)).
    IntVector e = bits.sub(0x3f3504f3).lanewise(ASHR, 23);
    FloatVector m = bits.sub(e.lanewise(LSHL, 23)).reinterpretAsFloats().sub(1f);
    FloatVector exponent = (FloatVector) e.convertShape(VectorOperators.I2F, Lanes.SPECIES, 0);
    exponent = exponent.blend(exponent.sub(24f), tiny);
    FloatVector p = m.fma(Lanes.broadcast(7.0376836292e-2f), Lanes.broadcast(-1.1514610310e-1f));
    p = p.fma(m, Lanes.broadcast(1.1676998740e-1f));
    p = p.fma(m, Lanes.broadcast(-1.2420140846e-1f));
    p = p.fma(m, Lanes.broadcast(1.4249322787e-1f));
    p = p.fma(m, Lanes.broadcast(-1.6668057665e-1f));
    p = p.fma(m, Lanes.broadcast(2.0000714765e-1f));
    p = p.fma(m, Lanes.broadcast(-2.4999993993e-1f));
    p = p.fma(m, Lanes.broadcast(3.3333331174e-1f));
    FloatVector square = m.mul(m);
    FloatVector y = p.mul(m).mul(square);
    y = exponent.fma(Lanes.broadcast(LN2_LOW), y);
    y = square.fma(Lanes.broadcast(-0.5f), y).add(m);
    y = exponent.fma(Lanes.broadcast(LN2_HIGH), y);
    y = y.blend(x, x.compare(VectorOperators.EQ, Float.POSITIVE_INFINITY));
    y = y.blend(Float.NaN, x.compare(VectorOperators.LT, 0f).or(x.test(VectorOperators.IS_NAN)));
    return y.blend(Float.NEGATIVE_INFINITY, x.compare(VectorOperators.EQ, 0f));
  }

  /** Hyperbolic tangent by a rational function; relative error below 5e-7. */
  static FloatVector tanh(FloatVector x) {
    FloatVector z = x.max(-7.9988117f).min(7.9988117f);
    FloatVector s = z.mul(z);
    FloatVector p = s.fma(Lanes.broadcast(-2.76076847742355e-16f), Lanes.broadcast(2.00018790482477e-13f));
    p = p.fma(s, Lanes.broadcast(-8.60467152213735e-11f));
    p = p.fma(s, Lanes.broadcast(5.12229709037114e-08f));
    p = p.fma(s, Lanes.broadcast(1.48572235717979e-05f));
    p = p.fma(s, Lanes.broadcast(6.37261928875436e-04f));
    p = p.fma(s, Lanes.broadcast(4.89352455891786e-03f)).mul(z);
    FloatVector q = s.fma(Lanes.broadcast(1.19825839466702e-06f), Lanes.broadcast(1.18534705686654e-04f));
    q = q.fma(s, Lanes.broadcast(2.26843463243900e-03f));
    q = q.fma(s, Lanes.broadcast(4.89352518554385e-03f));
    return p.div(q).blend(x, z.abs().lt(0.0004f));
  }

  /** 1 / (1 + e^-x). */
  static FloatVector sigmoid(FloatVector x) {
    return Lanes.broadcast(1f).div(exp(x.neg()).add(1f));
  }

  /** 1 - tanh(x)². */
  static FloatVector tanhDerivative(FloatVector x) {
    FloatVector y = tanh(x);
    return y.mul(y).neg().add(1f);
  }

  /** s (1 - s) with s = sigmoid(x). */
  static FloatVector sigmoidDerivative(FloatVector x) {
    FloatVector s = sigmoid(x);
    return s.sub(s.mul(s));
  }

  /**
   * The normal distribution function Φ(x) = (1 + erf(x / √2)) / 2, by a rational function; absolute
   * error below 3e-7.
   */
  static FloatVector normalDistribution(FloatVector x) {
    FloatVector z = x.mul(0.70710678f).max(-4f).min(4f);
    FloatVector s = z.mul(z);
    FloatVector p = s.fma(Lanes.broadcast(-2.72614225801306e-10f), Lanes.broadcast(2.77068142495902e-08f));
    p = p.fma(s, Lanes.broadcast(-2.10102402082508e-06f));
    p = p.fma(s, Lanes.broadcast(-5.69250639462346e-05f));
    p = p.fma(s, Lanes.broadcast(-7.34990630326855e-04f));
    p = p.fma(s, Lanes.broadcast(-2.95459980854025e-03f));
    p = p.fma(s, Lanes.broadcast(-1.60960333262415e-02f)).mul(z);
    FloatVector q = s.fma(Lanes.broadcast(-1.45660718464996e-05f), Lanes.broadcast(-2.13374055278905e-04f));
    q = q.fma(s, Lanes.broadcast(-1.68282697438203e-03f));
    q = q.fma(s, Lanes.broadcast(-7.37332916720468e-03f));
    q = q.fma(s, Lanes.broadcast(-1.42647390514189e-02f));
    return p.div(q).fma(Lanes.broadcast(0.5f), Lanes.broadcast(0.5f));
  }

  /** x Φ(x). */
  static FloatVector gelu(FloatVector x) {
    return x.mul(normalDistribution(x));
  }

  /** Φ(x) + x φ(x), the derivative of {@link #gelu}. */
  static FloatVector geluDerivative(FloatVector x) {
    // Abramowitz and Stegun 7.1.26: the error function from the density's own exponential.
    FloatVector density = expOfNonPositive(x.mul(x).mul(-0.5f));
    FloatVector t =
        Lanes.broadcast(1f)
            .div(x.abs().fma(Lanes.broadcast(0.3275911f * 0.70710678f), Lanes.broadcast(1f)));
    FloatVector p = t.fma(Lanes.broadcast(0.5f * 1.061405429f), Lanes.broadcast(0.5f * -1.453152027f));
    p = p.fma(t, Lanes.broadcast(0.5f * 1.421413741f));
    p = p.fma(t, Lanes.broadcast(0.5f * -0.284496736f));
    p = p.fma(t, Lanes.broadcast(0.5f * 0.254829592f)).mul(t).mul(density);
    FloatVector distribution = p.blend(Lanes.broadcast(1f).sub(p), x.compare(VectorOperators.GE, 0f));
    return x.mul(density).fma(Lanes.broadcast(0.39894228f), distribution);
  }

  /** x sigmoid(x). */
  static FloatVector silu(FloatVector x) {
    return x.div(exp(x.neg()).add(1f));
  }

  /** s (1 + x (1 - s)) with s = sigmoid(x), the derivative of {@link #silu}. */
  static FloatVector siluDerivative(FloatVector x) {
    FloatVector s = sigmoid(x);
    FloatVector one = Lanes.broadcast(1f);
    return s.mul(x.fma(one.sub(s), one));
  }
}
