package dev.heddle.simulated.simt;

import static dev.heddle.simulated.simt.Formats.bits;
import static dev.heddle.simulated.simt.Formats.f32;
import static dev.heddle.simulated.simt.Formats.f64;

import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxRegister;
import dev.heddle.simulated.ptx.PtxType;
import dev.heddle.simulated.simt.Formats.Rounding;
import org.jspecify.annotations.Nullable;

/** {@code cvt}: between integers of all widths and all floating-point types. */
final class ConvertDecoder {
  /** From the bits of a value to those of another. */
  interface Conversion {
    long of(long bits);
  }

  private ConvertDecoder() {}

  static Step step(Operands o) {
    boolean nearestAway = o.take("rna");
    String whole = o.takeOneOf("rni", "rzi", "rmi", "rpi");
    String direction = o.takeOneOf("rn", "rz", "rm", "rp");
    boolean flush = o.take("ftz");
    boolean saturate = o.take("sat");
    boolean relu = o.take("relu");
    PtxType to = o.type();
    PtxType from = o.type();
    if (to == PtxType.F16X2 || to == PtxType.BF16X2) {
      return pair(o, to, from, direction, relu);
    }
    o.wantCount(2);
    if (to == PtxType.TF32) {
      if (from != PtxType.F32 || !(nearestAway || "rn".equals(direction))) {
        throw o.refuse("only cvt.rna.tf32.f32 and cvt.rn.tf32.f32 are supported");
      }
      Loops.IntFunction f = nearestAway ? ConvertDecoder::tf32Away : ConvertDecoder::tf32Even;
      return LoopCopies.step(
          Loops.IntLoop.class, o.mnemonic(), f, o.result(0, PtxType.B32), o.source(1, PtxType.F32));
    }
    if (nearestAway || to == PtxType.PRED || from == PtxType.PRED || isPair(from)) {
      throw o.refuse("this conversion is not supported");
    }
    Conversion conversion = conversion(o, to, from, whole, direction, flush, saturate, relu);
    PtxOperand target = o.get(0);
    PtxRegister register = o.resultRegister(target);
    if (register.type().bits() < to.bits() || register.isPredicate()) {
      throw o.refuse("register " + register.name() + " is too narrow for " + to);
    }
    int d = o.decoder().rows().place(register);
    int width = register.type().bits();
    boolean wideSource;
    int a;
    switch (o.get(1)) {
      case PtxOperand.Register source -> {
        if (source.register().type().bits() < from.bits() || source.register().isPredicate()) {
          throw o.refuse("register " + source.register().name() + " is too narrow for " + from);
        }
        wideSource = source.register().isWide();
        a = o.read(source.register());
      }
      default -> {
        PtxType type = from.bits() == 8 ? PtxType.B16 : from;
        wideSource = type.bits() == 64;
        a = o.source(1, type);
      }
    }
    // Which registers a conversion works on is part of what it is.
    String name = o.mnemonic() + "/" + width;
    if (width == 64) {
      if (wideSource) {
        Loops.LongFunction f = conversion::of;
        return LoopCopies.step(Loops.LongLoop.class, name, f, d, a);
      }
      Loops.IntToLongFunction f = fastToLong(to, from, conversion);
      return LoopCopies.step(Loops.IntToLongLoop.class, name, f, d, a);
    }
    int mask = width == 16 ? 0xFFFF : -1;
    if (wideSource) {
      Loops.LongToIntFunction f =
          to.isInteger() && from.isInteger() && to.bits() == 32 && !saturate
              ? x -> (int) x
              : from == PtxType.F64 && to == PtxType.F32 && !saturate && "rn".equals(direction)
                  ? x -> bits((float) f64(x))
                  : x -> (int) conversion.of(x) & mask;
      return LoopCopies.step(Loops.LongToIntLoop.class, name, f, d, a);
    }
    Loops.IntFunction fast = fast(o, width);
    Loops.IntFunction f = fast != null ? fast : x -> (int) conversion.of(x) & mask;
    return LoopCopies.step(Loops.IntLoop.class, name, f, d, a);
  }

  private static boolean isPair(PtxType type) {
    return type == PtxType.F16X2 || type == PtxType.BF16X2;
  }

  private static Loops.IntToLongFunction fastToLong(
      PtxType to, PtxType from, Conversion conversion) {
    if (to.isInteger() && from == PtxType.U32) {
      return x -> x & 0xFFFF_FFFFL;
    }
    if (to.isInteger() && from == PtxType.S32 && to.bits() == 64 && to.isSigned()) {
      return x -> x;
    }
    return conversion::of;
  }

  /** The conversions that kernels are full of, without detours. */
  private static Loops.@Nullable IntFunction fast(Operands o, int width) {
    return switch (o.mnemonic()) {
      case "cvt.rn.f32.s32" -> x -> bits((float) x);
      case "cvt.rn.f32.u32" -> x -> bits((float) (x & 0xFFFF_FFFFL));
      case "cvt.rzi.s32.f32" -> x -> (int) f32(x);
      case "cvt.f32.f16" -> x -> bits(Formats.f16(x));
      case "cvt.f32.bf16" -> x -> x << 16;
      case "cvt.rn.f16.f32" -> width == 16 ? x -> Formats.f16Bits(f32(x)) : null;
      case "cvt.rn.bf16.f32" -> width == 16 ? x -> Formats.bf16Bits(f32(x)) : null;
      case "cvt.u32.u16" -> x -> x & 0xFFFF;
      case "cvt.s32.s16" -> x -> (short) x;
      case "cvt.u16.u32" -> x -> x & 0xFFFF;
      default -> null;
    };
  }

  /** Two numbers into one register, the first operand in its upper half. */
  private static Step pair(
      Operands o, PtxType to, PtxType from, @Nullable String direction, boolean relu) {
    o.wantCount(3);
    if (from != PtxType.F32 || direction == null || !direction.matches("rn|rz")) {
      throw o.refuse("only .rn and .rz from f32 are supported");
    }
    boolean brain = to == PtxType.BF16X2;
    Rounding rounding = direction.equals("rz") ? Rounding.ZERO : Rounding.NEAREST;
    Loops.IntFunction one =
        x -> {
          float value = relu ? Math.max(f32(x), 0f) : f32(x);
          return brain ? Formats.bf16Bits(value, rounding) : Formats.f16Bits(value, rounding);
        };
    Loops.IntIntFunction f =
        !relu && rounding == Rounding.NEAREST && brain
            ? (a, b) -> Formats.bf16Bits(f32(a)) << 16 | Formats.bf16Bits(f32(b))
            : (a, b) -> one.apply(a) << 16 | one.apply(b);
    return LoopCopies.step(
        Loops.IntIntLoop.class,
        o.mnemonic(),
        f,
        o.result(0, PtxType.B32),
        o.source(1, PtxType.F32),
        o.source(2, PtxType.F32));
  }

  private static int tf32Away(int bits) {
    return (bits & 0x7F80_0000) == 0x7F80_0000 ? bits : (bits + 0x1000) & ~0x1FFF;
  }

  private static int tf32Even(int bits) {
    return (bits & 0x7F80_0000) == 0x7F80_0000
        ? bits
        : (bits + 0xFFF + ((bits >>> 13) & 1)) & ~0x1FFF;
  }

  private static Conversion conversion(
      Operands o,
      PtxType to,
      PtxType from,
      @Nullable String whole,
      @Nullable String direction,
      boolean flush,
      boolean saturate,
      boolean relu) {
    Rounding rounding = rounding(whole != null ? whole.substring(0, 2) : direction);
    if (from.isInteger() && to.isInteger()) {
      if (whole != null || direction != null || flush || relu) {
        throw o.refuse("integers are not rounded");
      }
      return bits ->
          saturate ? clamped(integer(bits, from), from, to) : cut(integer(bits, from), to);
    }
    if (from.isInteger()) {
      if (direction == null || whole != null) {
        throw o.refuse("one of rn, rz, rm, rp is wanted");
      }
      if (to == PtxType.F64 && rounding != Rounding.NEAREST && from.bits() == 64) {
        throw o.refuse("directed rounding to f64 is not supported");
      }
      return bits -> fromInteger(integer(bits, from), from, to, rounding, saturate);
    }
    if (to.isInteger()) {
      if (whole == null) {
        throw o.refuse("one of rni, rzi, rmi, rpi is wanted");
      }
      return bits -> toInteger(number(bits, from, flush), from, to, rounding);
    }
    if (to == from && direction != null) {
      throw o.refuse("one of rni, rzi, rmi, rpi is wanted");
    }
    return bits -> {
      double value = number(bits, from, flush);
      if (whole != null) {
        value = wholeNumber(value, rounding);
      }
      if (saturate) {
        value = Formats.saturated(value);
      }
      if (relu && value < 0) {
        value = 0;
      }
      return floatBits(value, to, rounding, flush);
    };
  }

  private static Rounding rounding(@Nullable String name) {
    return switch (name) {
      case "rz" -> Rounding.ZERO;
      case "rm" -> Rounding.DOWN;
      case "rp" -> Rounding.UP;
      case null, default -> Rounding.NEAREST;
    };
  }

  /** The integer that these bits are; a {@code u64} beyond the greatest long is negative. */
  private static long integer(long bits, PtxType type) {
    return cut(bits, type);
  }

  /** The lower bits as an integer of this type, extended by its sign or zeros. */
  private static long cut(long value, PtxType type) {
    int away = 64 - type.bits();
    return type.isSigned() ? value << away >> away : value << away >>> away;
  }

  private static long clamped(long value, PtxType from, PtxType to) {
    boolean huge = !from.isSigned() && value < 0;
    if (to.isSigned()) {
      long greatest = Long.MAX_VALUE >> (64 - to.bits());
      return huge ? greatest : Math.clamp(value, -greatest - 1, greatest);
    }
    if (from.isSigned() && value < 0) {
      return 0;
    }
    long greatest = -1L >>> (64 - to.bits());
    return Long.compareUnsigned(value, greatest) > 0 ? greatest : value;
  }

  private static final long EXACT_DOUBLES = 1L << 53;

  private static long fromInteger(
      long value, PtxType from, PtxType to, Rounding rounding, boolean saturate) {
    // At most 53 of the 64 bits fit a double: the rest only matters as "not zero" (round to odd).
    double number;
    boolean huge = !from.isSigned() && value < 0;
    if (!huge && value < EXACT_DOUBLES && value > -EXACT_DOUBLES) {
      number = value;
    } else if (to == PtxType.F64) {
      number = from.isSigned() || value >= 0 ? (double) value : unsigned(value);
    } else {
      boolean negative = from.isSigned() && value < 0;
      long magnitude = negative ? -value : value;
      long odd = (magnitude >>> 11) | ((magnitude & 0x7FF) != 0 ? 1 : 0);
      number = odd * 0x1p11 * (negative ? -1 : 1);
    }
    return floatBits(saturate ? Formats.saturated(number) : number, to, rounding, false);
  }

  private static double unsigned(long value) {
    // Halved with its lowest bit kept, so that the one rounding is right.
    return (double) ((value >>> 1) | (value & 1)) * 2;
  }

  private static double number(long bits, PtxType from, boolean flush) {
    return switch (from) {
      case F16 -> Formats.f16((int) bits);
      case BF16 -> Formats.bf16((int) bits & 0xFFFF);
      case F32 -> flush ? Formats.flushed(f32((int) bits)) : f32((int) bits);
      default -> f64(bits);
    };
  }

  private static double wholeNumber(double value, Rounding rounding) {
    return switch (rounding) {
      case NEAREST -> Math.rint(value);
      case DOWN -> Math.floor(value);
      case UP -> Math.ceil(value);
      case ZERO -> value > 0 ? Math.floor(value) : Math.ceil(value);
    };
  }

  private static long toInteger(double value, PtxType from, PtxType to, Rounding rounding) {
    if (Double.isNaN(value)) {
      return from == PtxType.F64 || to.bits() == 64 ? cut(1L << (to.bits() - 1), to) : 0;
    }
    double whole = wholeNumber(value, rounding);
    if (to.isSigned()) {
      long greatest = Long.MAX_VALUE >> (64 - to.bits());
      return Math.clamp((long) whole, -greatest - 1, greatest);
    }
    if (whole <= 0) {
      return 0;
    }
    if (to.bits() == 64) {
      return whole >= 0x1p64
          ? -1
          : whole >= 0x1p63 ? (long) (whole - 0x1p63) + Long.MIN_VALUE : (long) whole;
    }
    return Math.min((long) whole, -1L >>> (64 - to.bits()));
  }

  private static long floatBits(double value, PtxType to, Rounding rounding, boolean flush) {
    return switch (to) {
      case F16 -> Formats.f16Bits(value, rounding);
      case BF16 -> Formats.bf16Bits(value, rounding);
      case F32 -> {
        float result = f32(value, rounding);
        yield bits(flush ? Formats.flushed(result) : result) & 0xFFFF_FFFFL;
      }
      default -> bits(value);
    };
  }
}
