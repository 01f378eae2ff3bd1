package dev.heddle.simulated.simt;

import java.math.BigInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

@SuppressWarnings({"OperatorPrecedence", "UnnecessaryLongToIntConversion"}) // Cuts on purpose.
class IntegerInstructionTest {
  private static final long LOW = 0xFFFF_FFFFL;

  private final InstructionBench bench = new InstructionBench();

  @AfterEach
  void close() {
    bench.close();
  }

  private static BigInteger unsigned(long value) {
    return new BigInteger(Long.toUnsignedString(value));
  }

  private static BigInteger signed(long value) {
    return BigInteger.valueOf(value);
  }

  @Test
  void addSubMul_wrapAround() {
    bench.check("add.s32 %r0, %r1, %r2;", (a, b, c, e) -> a + b);
    bench.check("sub.u32 %r0, %r1, %r2;", (a, b, c, e) -> a - b);
    bench.check("add.s64 %d0, %d1, %d2;", (a, b, c, e) -> a + b);
    bench.check("sub.s64 %d0, %d1, -7;", (a, b, c, e) -> a + 7);
    bench.check("add.s16 %h0, %h1, %h2;", (a, b, c, e) -> a + b);
    bench.check("sub.u16 %h0, %h1, %h2;", (a, b, c, e) -> a - b);
    bench.check("mul.lo.s32 %r0, %r1, %r2;", (a, b, c, e) -> a * b);
    bench.check("mul.lo.u64 %d0, %d1, %d2;", (a, b, c, e) -> a * b);
    bench.check("mul.lo.s16 %h0, %h1, %h2;", (a, b, c, e) -> a * b);
    bench.check("mul24.lo.u32 %r0, %r1, %r2;", (a, b, c, e) -> (a & 0xFFFFFF) * (b & 0xFFFFFF));
  }

  @Test
  void add_saturates() {
    bench.check(
        "add.sat.s32 %r0, %r1, %r2;",
        (a, b, c, e) ->
            Math.max(Integer.MIN_VALUE, Math.min(Integer.MAX_VALUE, (long) (int) a + (int) b)));
    bench.check(
        "sub.sat.s32 %r0, %r1, %r2;",
        (a, b, c, e) ->
            Math.max(Integer.MIN_VALUE, Math.min(Integer.MAX_VALUE, (long) (int) a - (int) b)));
  }

  @Test
  void mulHiAndWide_areTheUpperAndTheWholeProduct() {
    bench.check(
        "mul.hi.s32 %r0, %r1, %r2;",
        (a, b, c, e) -> signed((int) a).multiply(signed((int) b)).shiftRight(32).longValue());
    bench.check(
        "mul.hi.u32 %r0, %r1, %r2;",
        (a, b, c, e) -> signed(a & LOW).multiply(signed(b & LOW)).shiftRight(32).longValue());
    bench.check(
        "mul.hi.s64 %d0, %d1, %d2;",
        (a, b, c, e) -> signed(a).multiply(signed(b)).shiftRight(64).longValue());
    bench.check(
        "mul.hi.u64 %d0, %d1, %d2;",
        (a, b, c, e) -> unsigned(a).multiply(unsigned(b)).shiftRight(64).longValue());
    bench.check("mul.hi.s16 %h0, %h1, %h2;", (a, b, c, e) -> (long) (short) a * (short) b >> 16);
    bench.check("mul.hi.u16 %h0, %h1, %h2;", (a, b, c, e) -> (a & 0xFFFF) * (b & 0xFFFF) >> 16);
    bench.check("mul.wide.s32 %d0, %r1, %r2;", (a, b, c, e) -> (long) (int) a * (int) b);
    bench.check("mul.wide.u32 %d0, %r1, %r2;", (a, b, c, e) -> (a & LOW) * (b & LOW));
    bench.check("mul.wide.s16 %r0, %h1, %h2;", (a, b, c, e) -> (short) a * (short) b);
    bench.check("mul.wide.u16 %r0, %h1, %h2;", (a, b, c, e) -> (a & 0xFFFF) * (b & 0xFFFF));
    bench.check("mad.wide.s32 %d0, %r1, %r2, %d3;", (a, b, c, e) -> (long) (int) a * (int) b + c);
    bench.check("mad.wide.u32 %d0, %r1, %r2, %d3;", (a, b, c, e) -> (a & LOW) * (b & LOW) + c);
    bench.check("mad.lo.s32 %r0, %r1, %r2, %r3;", (a, b, c, e) -> a * b + c);
    bench.check("mad.lo.s64 %d0, %d1, %d2, %d3;", (a, b, c, e) -> a * b + c);
    bench.check(
        "mad.hi.u32 %r0, %r1, %r2, %r3;", (a, b, c, e) -> ((a & LOW) * (b & LOW) >>> 32) + c);
  }

  @Test
  void divRem_roundTowardsZero() {
    bench.check(
        "div.s32 %r0, %r1, %r2;", (a, b, c, e) -> (int) b == 0 ? -1 : (long) (int) a / (int) b);
    bench.check(
        "div.u32 %r0, %r1, %r2;", (a, b, c, e) -> (int) b == 0 ? -1 : (a & LOW) / (b & LOW));
    bench.check("rem.s32 %r0, %r1, %r2;", (a, b, c, e) -> (int) b == 0 ? a : (int) a % (int) b);
    bench.check("rem.u32 %r0, %r1, %r2;", (a, b, c, e) -> (int) b == 0 ? a : (a & LOW) % (b & LOW));
    bench.check("div.s64 %d0, %d1, %d2;", (a, b, c, e) -> b == 0 ? -1 : a / b);
    bench.check(
        "div.u64 %d0, %d1, %d2;",
        (a, b, c, e) -> b == 0 ? -1 : unsigned(a).divide(unsigned(b)).longValue());
    bench.check("rem.s64 %d0, %d1, %d2;", (a, b, c, e) -> b == 0 ? a : a % b);
    bench.check(
        "rem.u64 %d0, %d1, %d2;",
        (a, b, c, e) -> b == 0 ? a : unsigned(a).mod(unsigned(b)).longValue());
    bench.check(
        "div.s16 %h0, %h1, %h2;", (a, b, c, e) -> (short) b == 0 ? -1 : (short) a / (short) b);
    bench.check(
        "rem.u16 %h0, %h1, %h2;", (a, b, c, e) -> (short) b == 0 ? a : (a & 0xFFFF) % (b & 0xFFFF));
  }

  @Test
  void minMaxAbsNegSad() {
    bench.check("min.s32 %r0, %r1, %r2;", (a, b, c, e) -> Math.min((int) a, (int) b));
    bench.check("max.u32 %r0, %r1, %r2;", (a, b, c, e) -> Math.max(a & LOW, b & LOW));
    bench.check("min.s64 %d0, %d1, %d2;", (a, b, c, e) -> Math.min(a, b));
    bench.check("max.u64 %d0, %d1, %d2;", (a, b, c, e) -> unsigned(a).max(unsigned(b)).longValue());
    bench.check("min.s16 %h0, %h1, %h2;", (a, b, c, e) -> Math.min((short) a, (short) b));
    bench.check("max.u16 %h0, %h1, %h2;", (a, b, c, e) -> Math.max(a & 0xFFFF, b & 0xFFFF));
    bench.check("abs.s32 %r0, %r1;", (a, b, c, e) -> Math.abs((int) a));
    bench.check("neg.s64 %d0, %d1;", (a, b, c, e) -> -a);
    bench.check("neg.s16 %h0, %h1;", (a, b, c, e) -> -a);
    bench.check("abs.s16 %h0, %h1;", (a, b, c, e) -> Math.abs((short) a));
    bench.check(
        "sad.s32 %r0, %r1, %r2, %r3;", (a, b, c, e) -> c + Math.abs((long) (int) a - (int) b));
    bench.check("sad.u32 %r0, %r1, %r2, %r3;", (a, b, c, e) -> c + Math.abs((a & LOW) - (b & LOW)));
  }

  @Test
  void carries_makeLongArithmetic() {
    bench.check(
        "{ .reg .b32 %t<8>; mov.b64 {%t1,%t2}, %d1; mov.b64 {%t3,%t4}, %d2;"
            + " add.cc.u32 %t5, %t1, %t3; addc.u32 %t6, %t2, %t4; mov.b64 %d0, {%t5,%t6}; }",
        (a, b, c, e) -> a + b);
    bench.check(
        "{ .reg .b32 %t<8>; mov.b64 {%t1,%t2}, %d1; mov.b64 {%t3,%t4}, %d2;"
            + " sub.cc.u32 %t5, %t1, %t3; subc.cc.u32 %t6, %t2, %t4; mov.b64 %d0, {%t5,%t6}; }",
        (a, b, c, e) -> a - b);
    bench.check(
        "{ .reg .b64 %t<4>; add.cc.u64 %t1, %d1, %d2; addc.u64 %d0, 0, 0; }",
        (a, b, c, e) -> unsigned(a).add(unsigned(b)).shiftRight(64).longValue());
    bench.check(
        "{ .reg .b64 %t<4>; sub.cc.u64 %t1, %d1, %d2; subc.u64 %d0, 0, 0; }",
        (a, b, c, e) -> Long.compareUnsigned(a, b) < 0 ? -1 : 0);
    bench.check(
        "{ .reg .b32 %t<4>; mad.lo.cc.u32 %t1, %r1, %r2, %r3; madc.hi.u32 %r0, %r1, %r2, 5; }",
        (a, b, c, e) ->
            ((a & LOW) * (b & LOW) + (c & LOW) >>> 32)
                + (unsigned((a & LOW) * (b & LOW)).add(unsigned(c & LOW)).bitLength() > 64
                    ? 1L << 32
                    : 0)
                + 5);
  }

  @Test
  void logic_worksOnAllWidths() {
    bench.check("and.b32 %r0, %r1, %r2;", (a, b, c, e) -> a & b);
    bench.check("or.b64 %d0, %d1, %d2;", (a, b, c, e) -> a | b);
    bench.check("xor.b16 %h0, %h1, %h2;", (a, b, c, e) -> a ^ b);
    bench.check("not.b32 %r0, %r1;", (a, b, c, e) -> ~a);
    bench.check("not.b16 %h0, %h1;", (a, b, c, e) -> ~a);
    bench.check("not.b64 %d0, %d1;", (a, b, c, e) -> ~a);
    bench.check("cnot.b32 %r0, %r1;", (a, b, c, e) -> (int) a == 0 ? 1 : 0);
    bench.check("and.pred %p0, %p1, !%p2;", (a, b, c, e) -> a & ~b);
    bench.check("xor.pred %p0, %p1, %p2;", (a, b, c, e) -> a ^ b);
    bench.check("not.pred %p0, %p1;", (a, b, c, e) -> ~a);
    bench.check("mov.pred %p0, %p1;", (a, b, c, e) -> a);
    for (int table : new int[] {0x00, 0x3C, 0x96, 0xE8, 0xCA, 0xFF, 0x6A}) {
      bench.check(
          "lop3.b32 %r0, %r1, %r2, %r3, " + table + ";",
          (a, b, c, e) -> {
            long result = 0;
            for (int bit = 0; bit < 32; bit++) {
              long which = (a >> bit & 1) << 2 | (b >> bit & 1) << 1 | c >> bit & 1;
              result |= (table >> which & 1L) << bit;
            }
            return result;
          });
    }
  }

  @Test
  void shifts_clampTheirAmount() {
    bench.check("shl.b32 %r0, %r1, %r2;", (a, b, c, e) -> (b & LOW) > 31 ? 0 : (int) a << (int) b);
    bench.check("shr.u32 %r0, %r1, %r2;", (a, b, c, e) -> (b & LOW) > 31 ? 0 : (int) a >>> (int) b);
    bench.check("shr.s32 %r0, %r1, %r2;", (a, b, c, e) -> (int) a >> (int) Math.min(31, b & LOW));
    bench.check("shl.b64 %d0, %d1, %r2;", (a, b, c, e) -> (b & LOW) > 63 ? 0 : a << (int) b);
    bench.check("shr.u64 %d0, %d1, %r2;", (a, b, c, e) -> (b & LOW) > 63 ? 0 : a >>> (int) b);
    bench.check("shr.s64 %d0, %d1, %r2;", (a, b, c, e) -> a >> (int) Math.min(63, b & LOW));
    bench.check("shr.b32 %r0, %r1, 3;", (a, b, c, e) -> (int) a >>> 3);
    bench.check(
        "shl.b16 %h0, %h1, %r2;", (a, b, c, e) -> (b & LOW) > 15 ? 0 : (a & 0xFFFF) << (int) b);
    bench.check("shr.s16 %h0, %h1, %r2;", (a, b, c, e) -> (short) a >> (int) Math.min(15, b & LOW));
    bench.check(
        "shf.l.wrap.b32 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> ((b << 32 | a & LOW) << (c & 31)) >>> 32);
    bench.check(
        "shf.r.wrap.b32 %r0, %r1, %r2, %r3;", (a, b, c, e) -> (b << 32 | a & LOW) >>> (c & 31));
    bench.check(
        "shf.r.clamp.b32 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> (b << 32 | a & LOW) >>> Math.min(32, c & LOW));
    bench.check(
        "shf.l.clamp.b32 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> (c & LOW) >= 32 ? a : ((b << 32 | a & LOW) << (c & LOW)) >>> 32);
  }

  @Test
  void fieldsAndCounts() {
    bench.check(
        "bfe.u32 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> field(a & LOW, (int) b & 255, (int) c & 255, 32, false));
    bench.check(
        "bfe.s32 %r0, %r1, %r2, %r3;",
        (a, b, c, e) -> field(a & LOW, (int) b & 255, (int) c & 255, 32, true));
    bench.check(
        "bfe.u64 %d0, %d1, %r2, %r3;",
        (a, b, c, e) -> field(a, (int) b & 255, (int) c & 255, 64, false));
    bench.check(
        "bfe.s64 %d0, %d1, %r2, %r3;",
        (a, b, c, e) -> field(a, (int) b & 255, (int) c & 255, 64, true));
    bench.check(
        "bfi.b32 %r0, %r1, %r2, %r3, %r4;",
        (a, b, c, e) -> inserted(a, b, (int) c & 255, (int) e & 255, 32));
    bench.check(
        "bfi.b64 %d0, %d1, %d2, %r3, %r4;",
        (a, b, c, e) -> inserted(a, b, (int) c & 255, (int) e & 255, 64));
    bench.check("popc.b32 %r0, %r1;", (a, b, c, e) -> Integer.bitCount((int) a));
    bench.check("popc.b64 %r0, %d1;", (a, b, c, e) -> Long.bitCount(a));
    bench.check("clz.b32 %r0, %r1;", (a, b, c, e) -> Integer.numberOfLeadingZeros((int) a));
    bench.check("clz.b64 %r0, %d1;", (a, b, c, e) -> Long.numberOfLeadingZeros(a));
    bench.check("brev.b32 %r0, %r1;", (a, b, c, e) -> Integer.reverse((int) a));
    bench.check("brev.b64 %d0, %d1;", (a, b, c, e) -> Long.reverse(a));
    bench.check("bfind.u32 %r0, %r1;", (a, b, c, e) -> 31 - Integer.numberOfLeadingZeros((int) a));
    bench.check(
        "bfind.shiftamt.u32 %r0, %r1;",
        (a, b, c, e) -> (int) a == 0 ? -1 : Integer.numberOfLeadingZeros((int) a));
    bench.check(
        "bfind.s64 %r0, %d1;", (a, b, c, e) -> 63 - Long.numberOfLeadingZeros(a < 0 ? ~a : a));
    bench.check("prmt.b32 %r0, %r1, %r2, 0x5410;", (a, b, c, e) -> a & 0xFFFF | (b & 0xFFFF) << 16);
    bench.check(
        "prmt.b32 %r0, %r1, %r2, 0xF263;",
        (a, b, c, e) ->
            a >>> 24 & 0xFF
                | (b >>> 16 & 0xFF) << 8
                | (a >>> 16 & 0xFF) << 16
                | ((b >>> 31 & 1) != 0 ? 0xFFL : 0) << 24);
  }

  /** By bits, as PTX defines it. */
  private static long field(long value, int position, int length, int bits, boolean signed) {
    int top = bits - 1;
    long sign = !signed || length == 0 ? 0 : value >>> Math.min(position + length - 1, top) & 1;
    long result = 0;
    for (int i = 0; i < bits; i++) {
      long bit = i < length && position + i <= top ? value >>> (position + i) & 1 : sign;
      result |= bit << i;
    }
    return result;
  }

  private static long inserted(long from, long into, int position, int length, int bits) {
    long result = into;
    for (int i = 0; i < length && position + i < bits; i++) {
      long bit = 1L << (position + i);
      result = (from >>> i & 1) != 0 ? result | bit : result & ~bit;
    }
    return result;
  }

  @Test
  void comparisons_ofIntegers() {
    bench.check("setp.lt.s32 %p0, %r1, %r2;", (a, b, c, e) -> (int) a < (int) b ? 1 : 0);
    bench.check("setp.le.u32 %p0, %r1, %r2;", (a, b, c, e) -> (a & LOW) <= (b & LOW) ? 1 : 0);
    bench.check("setp.gt.s64 %p0, %d1, %d2;", (a, b, c, e) -> a > b ? 1 : 0);
    bench.check(
        "setp.ge.u64 %p0, %d1, %d2;", (a, b, c, e) -> Long.compareUnsigned(a, b) >= 0 ? 1 : 0);
    bench.check("setp.eq.b16 %p0, %h1, %h2;", (a, b, c, e) -> (short) a == (short) b ? 1 : 0);
    bench.check("setp.lt.s16 %p0, %h1, %h2;", (a, b, c, e) -> (short) a < (short) b ? 1 : 0);
    bench.check("setp.hi.u32 %p0, %r1, 31;", (a, b, c, e) -> (a & LOW) > 31 ? 1 : 0);
    bench.check("setp.ne.and.s32 %p0, %r1, 0, !%p3;", (a, b, c, e) -> (int) a != 0 ? ~c & 1 : 0);
    bench.check(
        "{ .reg .pred %q; setp.lt.or.s32 %q|%p0, %r1, %r2, %p3; }",
        (a, b, c, e) -> (int) a >= (int) b ? 1 : c & 1);
    bench.check("set.lt.u32.s32 %r0, %r1, %r2;", (a, b, c, e) -> (int) a < (int) b ? -1 : 0);
    bench.check("selp.b32 %r0, %r1, %r2, %p3;", (a, b, c, e) -> (c & 1) != 0 ? a : b);
    bench.check("selp.b64 %d0, %d1, %d2, !%p3;", (a, b, c, e) -> (c & 1) == 0 ? a : b);
    bench.check("selp.b16 %h0, %h1, 77, %p3;", (a, b, c, e) -> (c & 1) != 0 ? a : 77);
    bench.check("slct.b32.s32 %r0, %r1, %r2, %r3;", (a, b, c, e) -> (int) c >= 0 ? a : b);
  }

  @Test
  void moves_packAndUnpack() {
    bench.check("mov.b64 %d0, {%r1, %r2};", (a, b, c, e) -> a & LOW | b << 32);
    bench.check("{ .reg .b32 %t; mov.b64 {%t, %r0}, %d1; }", (a, b, c, e) -> a >>> 32);
    bench.check("mov.b32 %r0, {%h1, %h2};", (a, b, c, e) -> a & 0xFFFF | (b & 0xFFFF) << 16);
    bench.check("mov.b32 {_, %h0}, %r1;", (a, b, c, e) -> a >>> 16);
    bench.check(
        "mov.b64 %d0, {%h1, %h2, %h3, 9};",
        (a, b, c, e) -> a & 0xFFFF | (b & 0xFFFF) << 16 | (c & 0xFFFF) << 32 | 9L << 48);
    bench.check("mov.b32 %r0, {0, %h1};", (a, b, c, e) -> (a & 0xFFFF) << 16);
    bench.check("mov.f32 %r0, 0f3F800000;", (a, b, c, e) -> Float.floatToIntBits(1f));
    bench.check("mov.f64 %d0, 0dBFF0000000000000;", (a, b, c, e) -> Double.doubleToLongBits(-1));
  }
}
