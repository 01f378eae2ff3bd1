package dev.heddle.simulated.simt;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class FloatInstructionTest {
  private final InstructionBench bench = new InstructionBench();

  @AfterEach
  void close() {
    bench.close();
  }

  private static float f(long bits) {
    return Float.intBitsToFloat((int) bits);
  }

  private static double d(long bits) {
    return Double.longBitsToDouble(bits);
  }

  private static long bits(float value) {
    return Float.floatToRawIntBits(value);
  }

  private static long bits(double value) {
    return Double.doubleToRawLongBits(value);
  }

  private static float flush(float value) {
    return Math.abs(value) < Float.MIN_NORMAL ? Math.copySign(0f, value) : value;
  }

  @Test
  void arithmetic_ofF32() {
    bench.checkF32("add.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(f(a) + f(b)));
    bench.checkF32("sub.rn.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(f(a) - f(b)));
    bench.checkF32("mul.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(f(a) * f(b)));
    bench.checkF32("div.rn.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(f(a) / f(b)));
    bench.checkF32("div.full.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(f(a) / f(b)));
    bench.checkF32(
        "fma.rn.f32 %r0, %r1, %r2, %r3;", (a, b, c, e) -> bits(Math.fma(f(a), f(b), f(c))));
    bench.checkF32("sqrt.rn.f32 %r0, %r1;", (a, b, c, e) -> bits((float) Math.sqrt(f(a))));
    bench.checkF32("rcp.rn.f32 %r0, %r1;", (a, b, c, e) -> bits(1f / f(a)));
    bench.check("abs.f32 %r0, %r1;", (a, b, c, e) -> a & 0x7FFF_FFFF);
    bench.check("neg.f32 %r0, %r1;", (a, b, c, e) -> a ^ 0x8000_0000);
    bench.check(
        "copysign.f32 %r0, %r1, %r2;", (a, b, c, e) -> (a & 0x8000_0000L) | (b & 0x7FFF_FFFF));
  }

  @Test
  void minAndMax_preferNumbersToNan() {
    bench.checkF32(
        "max.f32 %r0, %r1, %r2;",
        (a, b, c, e) ->
            bits(Float.isNaN(f(a)) ? f(b) : Float.isNaN(f(b)) ? f(a) : Math.max(f(a), f(b))));
    bench.checkF32(
        "min.f32 %r0, %r1, %r2;",
        (a, b, c, e) ->
            bits(Float.isNaN(f(a)) ? f(b) : Float.isNaN(f(b)) ? f(a) : Math.min(f(a), f(b))));
    bench.checkF32("max.NaN.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(Math.max(f(a), f(b))));
    bench.checkF64(
        "min.f64 %d0, %d1, %d2;",
        (a, b, c, e) ->
            bits(Double.isNaN(d(a)) ? d(b) : Double.isNaN(d(b)) ? d(a) : Math.min(d(a), d(b))));
  }

  @Test
  void flushing_makesSubnormalsZero() {
    bench.checkF32(
        "add.ftz.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(flush(flush(f(a)) + flush(f(b)))));
    bench.checkF32(
        "mul.ftz.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(flush(flush(f(a)) * flush(f(b)))));
    bench.checkF32(
        "fma.rn.ftz.f32 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> bits(flush(Math.fma(flush(f(a)), flush(f(b)), flush(f(c))))));
    bench.checkF32("abs.ftz.f32 %r0, %r1;", (a, b, c, e) -> bits(Math.abs(flush(f(a)))));
    bench.check("setp.gt.ftz.f32 %p0, %r1, 0f00000000;", (a, b, c, e) -> flush(f(a)) > 0 ? 1 : 0);
  }

  @Test
  void saturation_clampsToZeroToOne() {
    bench.checkF32("add.sat.f32 %r0, %r1, %r2;", (a, b, c, e) -> bits(clamp(f(a) + f(b))));
    bench.checkF32(
        "fma.rn.sat.f32 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> bits(clamp(Math.fma(f(a), f(b), f(c)))));
  }

  private static float clamp(float value) {
    return Float.isNaN(value) ? 0 : Math.max(0f, Math.min(1f, value));
  }

  /** The neighbour of an exact value, by comparing in unlimited precision. */
  private static float directed(BigDecimal exact, boolean up) {
    float nearest = exact.floatValue();
    if (Float.isInfinite(nearest)) {
      boolean beyond = (nearest > 0) == up;
      return beyond ? nearest : Math.copySign(Float.MAX_VALUE, nearest);
    }
    int side = new BigDecimal(nearest).compareTo(exact);
    if (up) {
      return side < 0 ? Math.nextUp(nearest) : nearest;
    }
    return side > 0 ? Math.nextDown(nearest) : nearest;
  }

  private static boolean finite(long... values) {
    for (long value : values) {
      if (!Float.isFinite(f(value))) {
        return false;
      }
    }
    return true;
  }

  private static BigDecimal exact(long value) {
    return new BigDecimal(f(value));
  }

  @Test
  void directedRounding_ofF32() {
    for (boolean up : new boolean[] {false, true}) {
      String mode = up ? "rp" : "rm";
      // Signs of zero are IEEE's and checked apart; not what a BigDecimal knows.
      bench.checkF32(
          "add." + mode + ".f32 %r0, %r1, %r2;",
          (a, b, c, e) ->
              !finite(a, b) || exact(a).add(exact(b)).signum() == 0
                  ? bits(zeroSum(f(a), f(b), up))
                  : bits(directed(exact(a).add(exact(b)), up)));
      bench.checkF32(
          "mul." + mode + ".f32 %r0, %r1, %r2;",
          (a, b, c, e) ->
              !finite(a, b) || f(a) == 0 || f(b) == 0
                  ? bits(f(a) * f(b))
                  : bits(signedZero(directed(exact(a).multiply(exact(b)), up), f(a) * f(b))));
      bench.checkF32(
          "fma." + mode + ".f32 %r0, %r1, %r2, %r3;",
          (a, b, c, e) -> {
            if (!finite(a, b, c)) {
              return bits(f(a) * f(b) + f(c));
            }
            boolean noProduct = f(a) == 0 || f(b) == 0;
            if (noProduct) {
              return bits(zeroSum(f(a) * f(b), f(c), up));
            }
            BigDecimal sum = exact(a).multiply(exact(b)).add(exact(c));
            return sum.signum() == 0
                ? bits(up ? 0f : -0f)
                : bits(signedZero(directed(sum, up), sum.signum()));
          });
    }
    bench.checkF32(
        "add.rz.f32 %r0, %r1, %r2;",
        (a, b, c, e) -> {
          if (!finite(a, b)) {
            return bits(f(a) + f(b));
          }
          BigDecimal sum = exact(a).add(exact(b));
          return sum.signum() == 0 ? bits(f(a) + f(b)) : bits(directed(sum, sum.signum() < 0));
        });
  }

  private static float signedZero(float value, float sign) {
    return value == 0 ? Math.copySign(0f, sign) : value;
  }

  private static float zeroSum(float a, float b, boolean up) {
    float sum = a + b;
    return sum == 0 && a == -b && (a != 0 || Float.floatToIntBits(a) != Float.floatToIntBits(b))
        ? (up ? 0f : -0f)
        : sum;
  }

  @Test
  void arithmetic_ofF64() {
    bench.checkF64("add.f64 %d0, %d1, %d2;", (a, b, c, e) -> bits(d(a) + d(b)));
    bench.checkF64("mul.rn.f64 %d0, %d1, %d2;", (a, b, c, e) -> bits(d(a) * d(b)));
    bench.checkF64("div.rn.f64 %d0, %d1, %d2;", (a, b, c, e) -> bits(d(a) / d(b)));
    bench.checkF64(
        "fma.rn.f64 %d0, %d1, %d2, %d3;", (a, b, c, e) -> bits(Math.fma(d(a), d(b), d(c))));
    bench.checkF64("sqrt.rn.f64 %d0, %d1;", (a, b, c, e) -> bits(Math.sqrt(d(a))));
    bench.checkF64("rcp.rn.f64 %d0, %d1;", (a, b, c, e) -> bits(1 / d(a)));
    bench.check("neg.f64 %d0, %d1;", (a, b, c, e) -> a ^ Long.MIN_VALUE);
    bench.check("abs.f64 %d0, %d1;", (a, b, c, e) -> a & Long.MAX_VALUE);
  }

  private void checkNear(String instruction, double least, double greatest, DoubleUnaryOperator f) {
    try (InstructionBench numbers = new InstructionBench().withNumbers(true, least, greatest)) {
      long[] results = numbers.run(instruction);
      long[] inputs = numbers.run("mov.b32 %r0, %r1;");
      for (int i = 0; i < results.length; i++) {
        double want = f.applyAsDouble(f(inputs[i]));
        double tolerance = Math.max(Math.abs(want), 1e-3) * 2e-7;
        assertThat(Math.abs(f(results[i]) - want))
            .as(instruction + " of " + f(inputs[i]) + " gives " + f(results[i]))
            .isLessThanOrEqualTo(tolerance);
      }
    }
  }

  @Test
  void approximations_haveSinglePrecision() {
    checkNear("ex2.approx.ftz.f32 %r0, %r1;", -100, 100, x -> Math.pow(2, x));
    checkNear("ex2.approx.f32 %r0, %r1;", -100, 100, x -> Math.pow(2, x));
    checkNear("lg2.approx.f32 %r0, %r1;", 1e-3, 1e4, x -> Math.log(x) / Math.log(2));
    checkNear("sin.approx.f32 %r0, %r1;", -10, 10, Math::sin);
    checkNear("cos.approx.f32 %r0, %r1;", -10, 10, Math::cos);
    checkNear("tanh.approx.f32 %r0, %r1;", -5, 5, Math::tanh);
    checkNear("rcp.approx.ftz.f32 %r0, %r1;", 0.1, 1e5, x -> 1 / x);
    checkNear("rsqrt.approx.f32 %r0, %r1;", 1e-4, 1e5, x -> 1 / Math.sqrt(x));
    checkNear("sqrt.approx.f32 %r0, %r1;", 1e-4, 1e5, Math::sqrt);
    checkNear("div.approx.f32 %r0, %r1, 0f40490FDB;", -10, 10, x -> x / (float) Math.PI);
  }

  @Test
  void exponentials_ofWholeNumbersAreExact() {
    try (Device device = new Device()) {
      long in = device.floats(32, i -> i - 16);
      long out = device.floats(32, i -> 0);
      device.run(
          """
          .visible .entry k(.param .u64 in, .param .u64 out) {
          .reg .f32 %f<4>; .reg .b32 %r<4>; .reg .b64 %d<8>;
          mov.u32 %r1, %tid.x; mul.wide.u32 %d1, %r1, 4;
          ld.param.u64 %d2, [in]; add.s64 %d2, %d2, %d1; ld.global.f32 %f1, [%d2];
          ex2.approx.ftz.f32 %f1, %f1;
          ld.param.u64 %d3, [out]; add.s64 %d3, %d3, %d1; st.global.f32 [%d3], %f1;
          ret; }
          """,
          1, 32, in, out);
      float[] results = device.floats(out, 32);
      for (int i = 0; i < 32; i++) {
        assertThat(results[i]).isEqualTo((float) Math.pow(2, i - 16));
      }
    }
  }

  @Test
  void comparisons_knowNan() {
    bench.check("setp.lt.f32 %p0, %r1, %r2;", (a, b, c, e) -> f(a) < f(b) ? 1 : 0);
    bench.check("setp.ltu.f32 %p0, %r1, %r2;", (a, b, c, e) -> !(f(a) >= f(b)) ? 1 : 0);
    bench.check("setp.geu.f32 %p0, %r1, %r2;", (a, b, c, e) -> !(f(a) < f(b)) ? 1 : 0);
    bench.check("setp.eq.f32 %p0, %r1, %r2;", (a, b, c, e) -> f(a) == f(b) ? 1 : 0);
    bench.check(
        "setp.equ.f32 %p0, %r1, %r2;",
        (a, b, c, e) -> f(a) == f(b) || Float.isNaN(f(a)) || Float.isNaN(f(b)) ? 1 : 0);
    bench.check(
        "setp.ne.f32 %p0, %r1, %r2;",
        (a, b, c, e) -> f(a) != f(b) && !Float.isNaN(f(a)) && !Float.isNaN(f(b)) ? 1 : 0);
    bench.check("setp.neu.f32 %p0, %r1, %r2;", (a, b, c, e) -> f(a) != f(b) ? 1 : 0);
    bench.check(
        "setp.num.f32 %p0, %r1, %r2;",
        (a, b, c, e) -> Float.isNaN(f(a)) || Float.isNaN(f(b)) ? 0 : 1);
    bench.check("setp.nan.f32 %p0, %r1, %r1;", (a, b, c, e) -> Float.isNaN(f(a)) ? 1 : 0);
    bench.check("setp.gtu.f64 %p0, %d1, %d2;", (a, b, c, e) -> !(d(a) <= d(b)) ? 1 : 0);
    bench.check("setp.le.f64 %p0, %d1, %d2;", (a, b, c, e) -> d(a) <= d(b) ? 1 : 0);
    bench.check("set.gt.f32.f32 %r0, %r1, %r2;", (a, b, c, e) -> f(a) > f(b) ? bits(1f) : 0);
    bench.check(
        "testp.subnormal.f32 %p0, %r1;",
        (a, b, c, e) -> f(a) != 0 && Math.abs(f(a)) < Float.MIN_NORMAL ? 1 : 0);
    bench.check("testp.finite.f32 %p0, %r1;", (a, b, c, e) -> Float.isFinite(f(a)) ? 1 : 0);
  }

  private static float half(long bits) {
    return Float.float16ToFloat((short) bits);
  }

  private static long halfBits(double exact) {
    return rounded(exact, 11, -14, 65504, 0x7C00, 10, 15);
  }

  private static float brain(long bits) {
    return Float.intBitsToFloat((int) bits << 16);
  }

  private static long brainBits(double exact) {
    return rounded(exact, 8, -126, Float.intBitsToFloat(0x7F7F_0000), 0x7F80, 7, 127);
  }

  /** Nearest even, by exact decimals; -1 for NaN. */
  private static long rounded(
      double value,
      int precision,
      int least,
      double greatest,
      int infinity,
      int fraction,
      int bias) {
    if (Double.isNaN(value)) {
      return 0x7FFF;
    }
    long sign = Double.doubleToRawLongBits(value) < 0 ? 0x8000 : 0;
    double magnitude = Math.abs(value);
    if (Double.isInfinite(value)) {
      return sign | infinity;
    }
    if (magnitude == 0) {
      return sign;
    }
    int exponent = Math.max(Math.getExponent(magnitude), least);
    BigDecimal unit = new BigDecimal(Math.scalb(1.0, exponent - precision + 1));
    long units =
        new BigDecimal(magnitude)
            .divide(unit, MathContext.UNLIMITED)
            .setScale(0, RoundingMode.HALF_EVEN)
            .longValueExact();
    double result = Math.scalb((double) units, exponent - precision + 1);
    if (result > greatest) {
      return sign | infinity;
    }
    if (result < Math.scalb(1.0, least)) {
      return sign | units;
    }
    int actual = Math.getExponent(result);
    long significand = (long) Math.scalb(result, fraction - actual);
    return sign | ((long) (actual + bias) << fraction) | (significand & ((1L << fraction) - 1));
  }

  private void checkHalf(String instruction, InstructionBench.Expected expected, boolean pair) {
    long[] results = bench.run(instruction);
    bench.check(
        instruction,
        (a, b, c, e) ->
            pair
                ? expected.of(a & 0xFFFF, b & 0xFFFF, c & 0xFFFF, 0)
                    | expected.of(a >>> 16 & 0xFFFF, b >>> 16 & 0xFFFF, c >>> 16 & 0xFFFF, 0) << 16
                : expected.of(a & 0xFFFF, b & 0xFFFF, c & 0xFFFF, 0));
    assertThat(results).isNotEmpty();
  }

  @Test
  void arithmetic_of16BitNumbers() {
    checkHalf(
        "add.f16 %h0, %h1, %h2;", (a, b, c, e) -> halfBits((double) half(a) + half(b)), false);
    checkHalf(
        "mul.bf16 %h0, %h1, %h2;", (a, b, c, e) -> brainBits((double) brain(a) * brain(b)), false);
    checkHalf(
        "add.f16x2 %r0, %r1, %r2;", (a, b, c, e) -> halfBits((double) half(a) + half(b)), true);
    checkHalf(
        "sub.bf16x2 %r0, %r1, %r2;", (a, b, c, e) -> brainBits((double) brain(a) - brain(b)), true);
    checkHalf(
        "fma.rn.f16 %h0, %h1, %h2, %h3;",
        (a, b, c, e) -> halfBits(exactFma(half(a), half(b), half(c))), false);
    checkHalf(
        "fma.rn.bf16x2 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> brainBits(exactFma(brain(a), brain(b), brain(c))), true);
    bench.check("neg.bf16x2 %r0, %r1;", (a, b, c, e) -> a ^ 0x8000_8000L);
    bench.check("abs.f16 %h0, %h1;", (a, b, c, e) -> a & 0x7FFF);
    bench.check("setp.gt.bf16 %p0, %h1, %h2;", (a, b, c, e) -> brain(a) > brain(b) ? 1 : 0);
    bench.check("setp.le.f16 %p0, %h1, %h2;", (a, b, c, e) -> half(a) <= half(b) ? 1 : 0);
  }

  /** A fused sum as a double that rounds to 16 bits like the exact one. */
  private static double exactFma(float a, float b, float c) {
    double nearest = (double) a * b + c;
    if (!Float.isFinite(a) || !Float.isFinite(b) || !Float.isFinite(c)) {
      return nearest;
    }
    BigDecimal exact = new BigDecimal(a).multiply(new BigDecimal(b)).add(new BigDecimal(c));
    int side = exact.compareTo(new BigDecimal(nearest));
    // Away from a tie that only rounding made.
    return side == 0 ? nearest : side > 0 ? Math.nextUp(nearest) : Math.nextDown(nearest);
  }
}
