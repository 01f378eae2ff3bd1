package dev.heddle.simulated.simt;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.RoundingMode;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** {@code cvt} against exact decimals. */
class ConversionTest {
  private static final long LOW = 0xFFFF_FFFFL;

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

  @Test
  void integers_areCutAndExtended() {
    bench.check("cvt.u64.u32 %d0, %r1;", (a, b, c, e) -> a & LOW);
    bench.check("cvt.s64.s32 %d0, %r1;", (a, b, c, e) -> (int) a);
    bench.check("cvt.u32.u64 %r0, %d1;", (a, b, c, e) -> a);
    bench.check("cvt.s32.s16 %r0, %h1;", (a, b, c, e) -> (short) a);
    bench.check("cvt.u32.u16 %r0, %h1;", (a, b, c, e) -> a & 0xFFFF);
    bench.check("cvt.u16.u32 %h0, %r1;", (a, b, c, e) -> a);
    bench.check("cvt.s32.s8 %r0, %r1;", (a, b, c, e) -> (byte) a);
    bench.check("cvt.u32.u8 %r0, %r1;", (a, b, c, e) -> a & 0xFF);
    bench.check("cvt.s16.s8 %h0, %h1;", (a, b, c, e) -> (byte) a);
    bench.check("cvt.u16.u8 %h0, %h1;", (a, b, c, e) -> a & 0xFF);
    bench.check("cvt.s64.s8 %d0, %d1;", (a, b, c, e) -> (byte) a);
    bench.check("cvt.s64.s16 %d0, %h1;", (a, b, c, e) -> (short) a);
    bench.check("cvt.u8.u32 %r0, %r1;", (a, b, c, e) -> a & 0xFF);
    bench.check("cvt.s8.s32 %r0, %r1;", (a, b, c, e) -> (byte) a);
    bench.check("cvt.sat.s8.s32 %r0, %r1;", (a, b, c, e) -> Math.max(-128, Math.min(127, (int) a)));
    bench.check("cvt.sat.u8.s32 %r0, %r1;", (a, b, c, e) -> Math.max(0, Math.min(255, (int) a)));
    bench.check("cvt.sat.u16.u32 %h0, %r1;", (a, b, c, e) -> Math.min(0xFFFF, a & LOW));
    bench.check(
        "cvt.sat.s32.u64 %r0, %d1;",
        (a, b, c, e) -> a < 0 ? Integer.MAX_VALUE : Math.min(Integer.MAX_VALUE, a));
    bench.check("cvt.sat.u32.s64 %r0, %d1;", (a, b, c, e) -> Math.max(0, Math.min(LOW, a)));
  }

  private static BigInteger unsigned(long value) {
    return new BigInteger(Long.toUnsignedString(value));
  }

  /** The {@code f32} next to an exact value in one direction. */
  private static float directed(BigDecimal exact, RoundingMode mode) {
    float nearest = exact.floatValue();
    int side = new BigDecimal(nearest).compareTo(exact);
    boolean down = mode == RoundingMode.FLOOR || (mode == RoundingMode.DOWN && exact.signum() > 0);
    return switch (mode) {
      case HALF_EVEN -> nearest;
      default ->
          down
              ? side > 0 ? Math.nextDown(nearest) : nearest
              : side < 0 ? Math.nextUp(nearest) : nearest;
    };
  }

  @Test
  void integers_becomeNumbers() {
    bench.check("cvt.rn.f32.s32 %r0, %r1;", (a, b, c, e) -> bits((float) (int) a));
    bench.check("cvt.rn.f32.u32 %r0, %r1;", (a, b, c, e) -> bits((float) (a & LOW)));
    bench.check("cvt.rn.f32.s64 %r0, %d1;", (a, b, c, e) -> bits((float) a));
    bench.check(
        "cvt.rn.f32.u64 %r0, %d1;", (a, b, c, e) -> bits(new BigDecimal(unsigned(a)).floatValue()));
    bench.check("cvt.rn.f64.s32 %d0, %r1;", (a, b, c, e) -> bits((double) (int) a));
    bench.check("cvt.rn.f64.s64 %d0, %d1;", (a, b, c, e) -> bits((double) a));
    bench.check(
        "cvt.rn.f64.u64 %d0, %d1;",
        (a, b, c, e) -> bits(new BigDecimal(unsigned(a)).doubleValue()));
    bench.check("cvt.rn.f32.s16 %r0, %h1;", (a, b, c, e) -> bits((float) (short) a));
    bench.check("cvt.rn.f32.u8 %r0, %r1;", (a, b, c, e) -> bits((float) (a & 0xFF)));
    bench.check(
        "cvt.rz.f32.s64 %r0, %d1;",
        (a, b, c, e) -> a == 0 ? 0 : bits(directed(BigDecimal.valueOf(a), RoundingMode.DOWN)));
    bench.check(
        "cvt.rm.f32.s64 %r0, %d1;",
        (a, b, c, e) -> a == 0 ? 0 : bits(directed(BigDecimal.valueOf(a), RoundingMode.FLOOR)));
    bench.check(
        "cvt.rp.f32.u64 %r0, %d1;",
        (a, b, c, e) ->
            a == 0 ? 0 : bits(directed(new BigDecimal(unsigned(a)), RoundingMode.CEILING)));
  }

  private static long whole(
      double value, RoundingMode mode, int bits, boolean signed, boolean f64) {
    if (Double.isNaN(value)) {
      return f64 || bits == 64 ? 1L << (bits - 1) : 0;
    }
    BigInteger least = signed ? BigInteger.TWO.pow(bits - 1).negate() : BigInteger.ZERO;
    BigInteger greatest = BigInteger.TWO.pow(signed ? bits - 1 : bits).subtract(BigInteger.ONE);
    if (Double.isInfinite(value)) {
      return (value > 0 ? greatest : least).longValue();
    }
    BigInteger exact = new BigDecimal(value).setScale(0, mode).toBigInteger();
    return exact.max(least).min(greatest).longValue();
  }

  @Test
  void numbers_becomeIntegers() {
    String[] names = {"rni", "rzi", "rmi", "rpi"};
    RoundingMode[] modes = {
      RoundingMode.HALF_EVEN, RoundingMode.DOWN, RoundingMode.FLOOR, RoundingMode.CEILING
    };
    for (int i = 0; i < names.length; i++) {
      RoundingMode mode = modes[i];
      bench.check(
          "cvt." + names[i] + ".s32.f32 %r0, %r1;",
          (a, b, c, e) -> whole(f(a), mode, 32, true, false));
      bench.check(
          "cvt." + names[i] + ".u32.f32 %r0, %r1;",
          (a, b, c, e) -> whole(f(a), mode, 32, false, false));
      bench.check(
          "cvt." + names[i] + ".s64.f32 %d0, %r1;",
          (a, b, c, e) -> whole(f(a), mode, 64, true, false));
      bench.check(
          "cvt." + names[i] + ".u64.f64 %d0, %d1;",
          (a, b, c, e) -> whole(d(a), mode, 64, false, true));
      bench.check(
          "cvt." + names[i] + ".s32.f64 %r0, %d1;",
          (a, b, c, e) -> whole(d(a), mode, 32, true, true));
      bench.check(
          "cvt." + names[i] + ".s16.f32 %h0, %r1;",
          (a, b, c, e) -> whole(f(a), mode, 16, true, false));
      bench.check(
          "cvt." + names[i] + ".u8.f32 %r0, %r1;",
          (a, b, c, e) -> whole(f(a), mode, 8, false, false));
    }
  }

  @Test
  void numbers_becomeWholeNumbers() {
    bench.checkF32("cvt.rni.f32.f32 %r0, %r1;", (a, b, c, e) -> bits((float) Math.rint(f(a))));
    bench.checkF32("cvt.rmi.f32.f32 %r0, %r1;", (a, b, c, e) -> bits((float) Math.floor(f(a))));
    bench.checkF64("cvt.rpi.f64.f64 %d0, %d1;", (a, b, c, e) -> bits(Math.ceil(d(a))));
    bench.checkF64(
        "cvt.rzi.f64.f64 %d0, %d1;",
        (a, b, c, e) -> bits(d(a) > 0 ? Math.floor(d(a)) : Math.ceil(d(a))));
    bench.checkF32(
        "cvt.sat.f32.f32 %r0, %r1;",
        (a, b, c, e) -> bits(Float.isNaN(f(a)) ? 0 : Math.max(0f, Math.min(1f, f(a)))));
  }

  @Test
  void floatingFormats_areConverted() {
    bench.checkF64("cvt.f64.f32 %d0, %r1;", (a, b, c, e) -> bits((double) f(a)));
    bench.checkF32("cvt.rn.f32.f64 %r0, %d1;", (a, b, c, e) -> bits((float) d(a)));
    bench.checkF32(
        "cvt.rm.f32.f64 %r0, %d1;",
        (a, b, c, e) -> {
          if (Double.isNaN(d(a)) || Double.isInfinite(d(a)) || d(a) == 0) {
            return bits((float) d(a));
          }
          float nearest = (float) d(a);
          return bits(nearest > d(a) ? Math.nextDown(nearest) : nearest);
        });
    bench.checkF32("cvt.f32.f16 %r0, %h1;", (a, b, c, e) -> bits(Float.float16ToFloat((short) a)));
    bench.checkF32("cvt.f32.bf16 %r0, %h1;", (a, b, c, e) -> a << 16 & 0xFFFF_0000L);
    bench.check("cvt.rn.f16.f32 %h0, %r1;", (a, b, c, e) -> half(f(a)));
    bench.check("cvt.rn.bf16.f32 %h0, %r1;", (a, b, c, e) -> brain(f(a)));
    bench.check(
        "cvt.rn.bf16x2.f32 %r0, %r1, %r2;", (a, b, c, e) -> brain(f(a)) << 16 | brain(f(b)));
    bench.check("cvt.rn.f16x2.f32 %r0, %r1, %r2;", (a, b, c, e) -> half(f(a)) << 16 | half(f(b)));
    bench.check(
        "cvt.rn.relu.bf16.f32 %h0, %r1;",
        (a, b, c, e) -> f(a) < 0 ? 0 : brain(f(a)) == 0x8000 ? 0x8000 : brain(f(a)));
    bench.check(
        "cvt.rz.bf16.f32 %h0, %r1;",
        (a, b, c, e) -> Float.isNaN(f(a)) ? 0x7FFF : a >>> 16 & 0xFFFF);
    bench.check(
        "cvt.rna.tf32.f32 %r0, %r1;",
        (a, b, c, e) -> Float.isFinite(f(a)) ? (a & LOW) + 0x1000 & 0xFFFF_E000L : a & LOW);
  }

  private static long half(float value) {
    return Float.isNaN(value) ? 0x7FFF : Float.floatToFloat16(value) & 0xFFFF;
  }

  private static long brain(float value) {
    if (Float.isNaN(value)) {
      return 0x7FFF;
    }
    if (Float.isInfinite(value)) {
      return bits(value) >>> 16 & 0xFFFF;
    }
    // The nearer of two neighbours, the even one if both are as near.
    long below = bits(value) >>> 16 & 0xFFFF;
    double distanceBelow = Math.abs((double) value - f(below << 16));
    double distanceAbove =
        Math.abs(
            value
                - ((below & 0x7FFF) == 0x7F7F
                    ? Math.copySign(0x1p128, value)
                    : f((below + 1) << 16)));
    if (distanceBelow == distanceAbove) {
      return (below & 1) == 0 ? below : below + 1;
    }
    return distanceBelow < distanceAbove ? below : below + 1;
  }
}
