package dev.heddle.simulated.simt;

/** Arithmetic of the floating-point formats that Java has no types for, and of other roundings. */
final class Formats {
  /** How an inexact value becomes a representable one. */
  enum Rounding {
    /** To the nearest, ties to even. */
    NEAREST,
    /** Towards zero. */
    ZERO,
    /** Towards minus infinity. */
    DOWN,
    /** Towards plus infinity. */
    UP
  }

  private static final int F16_NAN = 0x7FFF;
  private static final int BF16_NAN = 0x7FFF;
  private static final double F16_MAX = 65504;
  private static final double BF16_MAX = Float.intBitsToFloat(0x7F7F_0000);

  private Formats() {}

  static float f32(int bits) {
    return Float.intBitsToFloat(bits);
  }

  static int bits(float value) {
    return Float.floatToRawIntBits(value);
  }

  static double f64(long bits) {
    return Double.longBitsToDouble(bits);
  }

  static long bits(double value) {
    return Double.doubleToRawLongBits(value);
  }

  static float f16(int bits) {
    return Float.float16ToFloat((short) bits);
  }

  static int f16Bits(float value) {
    return Float.isNaN(value) ? F16_NAN : Float.floatToFloat16(value) & 0xFFFF;
  }

  static float bf16(int bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  static int bf16Bits(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return BF16_NAN;
    }
    return (bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16;
  }

  static int f16Bits(double value, Rounding rounding) {
    return f16Bits((float) rounded(value, 11, -14, F16_MAX, rounding));
  }

  static int bf16Bits(double value, Rounding rounding) {
    return bf16Bits((float) rounded(value, 8, -126, BF16_MAX, rounding));
  }

  /** An {@code f64} as an {@code f32}. */
  static float f32(double value, Rounding rounding) {
    float nearest = (float) value;
    return switch (rounding) {
      case NEAREST -> nearest;
      case DOWN -> nearest > value ? Math.nextDown(nearest) : nearest;
      case UP -> nearest < value ? Math.nextUp(nearest) : nearest;
      case ZERO -> {
        if (value > 0) {
          yield nearest > value ? Math.nextDown(nearest) : nearest;
        }
        yield nearest < value ? Math.nextUp(nearest) : nearest;
      }
    };
  }

  /** The value of a format with so many bits of precision that {@code value} is rounded to. */
  static double rounded(
      double value, int precision, int leastExponent, double greatest, Rounding rounding) {
    if (value == 0 || Double.isNaN(value) || Double.isInfinite(value)) {
      return value;
    }
    int quantum = Math.max(Math.getExponent(value), leastExponent) - (precision - 1);
    double scaled = Math.scalb(value, -quantum);
    double whole =
        switch (rounding) {
          case NEAREST -> Math.rint(scaled);
          case DOWN -> Math.floor(scaled);
          case UP -> Math.ceil(scaled);
          case ZERO -> scaled > 0 ? Math.floor(scaled) : Math.ceil(scaled);
        };
    double result = Math.scalb(whole, quantum);
    if (result > greatest) {
      return rounding == Rounding.NEAREST || rounding == Rounding.UP
          ? Double.POSITIVE_INFINITY
          : greatest;
    }
    if (result < -greatest) {
      return rounding == Rounding.NEAREST || rounding == Rounding.DOWN
          ? Double.NEGATIVE_INFINITY
          : -greatest;
    }
    return result == 0 ? Math.copySign(0.0, value) : result;
  }

  /**
   * The sum of two {@code f64}, rounded to odd: inexact results end in a one bit, so that rounding
   * them once more, to a narrower format, rounds the exact sum.
   */
  static double oddSum(double a, double b) {
    double sum = a + b;
    if (Double.isNaN(sum) || Double.isInfinite(sum)) {
      return sum;
    }
    double part = sum - a;
    double error = (a - (sum - part)) + (b - part);
    long bits = Double.doubleToRawLongBits(sum);
    if (error == 0 || (bits & 1) != 0) {
      return sum;
    }
    boolean away = (error > 0) == (sum > 0);
    return Double.longBitsToDouble(away ? bits + 1 : bits - 1);
  }

  /** {@code a * b + c} of {@code f32}s. */
  static float fma(float a, float b, float c, Rounding rounding) {
    return rounding == Rounding.NEAREST
        ? Math.fma(a, b, c)
        : f32(signed(oddSum((double) a * b, c), (double) a * b, c, rounding), rounding);
  }

  /** {@code a + b} of {@code f32}s. */
  static float add(float a, float b, Rounding rounding) {
    return rounding == Rounding.NEAREST
        ? a + b
        : f32(signed(oddSum(a, b), a, b, rounding), rounding);
  }

  /** An exact zero sum of opposite values, zeros too, is negative when rounding down. */
  private static double signed(double sum, double a, double b, Rounding rounding) {
    boolean opposite = a == -b && (a != 0 || Double.compare(a, b) != 0);
    return sum == 0 && opposite && rounding == Rounding.DOWN ? -0.0 : sum;
  }

  /** {@code a * b} of {@code f32}s. */
  static float mul(float a, float b, Rounding rounding) {
    return rounding == Rounding.NEAREST ? a * b : f32((double) a * b, rounding);
  }

  /** Zero, of the same sign, for a subnormal value. */
  static float flushed(float value) {
    return Math.abs(value) < Float.MIN_NORMAL ? Math.copySign(0f, value) : value;
  }

  /** Clamped to 0 to 1; NaN becomes 0. */
  static float saturated(float value) {
    return value > 0 ? Math.min(value, 1f) : 0f;
  }

  /** Clamped to 0 to 1; NaN becomes 0. */
  static double saturated(double value) {
    return value > 0 ? Math.min(value, 1.0) : 0.0;
  }

  /** The greater; the other one if one is NaN. */
  static float max(float a, float b) {
    return Float.isNaN(a) ? b : Float.isNaN(b) ? a : Math.max(a, b);
  }

  static float min(float a, float b) {
    return Float.isNaN(a) ? b : Float.isNaN(b) ? a : Math.min(a, b);
  }

  static double max(double a, double b) {
    return Double.isNaN(a) ? b : Double.isNaN(b) ? a : Math.max(a, b);
  }

  static double min(double a, double b) {
    return Double.isNaN(a) ? b : Double.isNaN(b) ? a : Math.min(a, b);
  }
}
