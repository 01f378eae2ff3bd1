package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxType;
import org.jspecify.annotations.Nullable;

/** Integer arithmetic: add, sub, mul, mad, div, rem, sad, min, max, abs, neg, and with carry. */
final class IntegerDecoder {
  private IntegerDecoder() {}

  static Step step(Operands o) {
    String opcode = o.opcode();
    if (opcode.equals("addc") || opcode.equals("subc") || opcode.equals("madc") || o.has("cc")) {
      return CarrySteps.step(o);
    }
    String part = null;
    if (opcode.equals("mul") || opcode.equals("mad")) {
      part = o.want("lo", "hi", "wide");
    } else if (opcode.equals("mul24") || opcode.equals("mad24")) {
      part = o.want("lo");
    }
    boolean saturate = o.take("sat");
    PtxType type =
        o.type(PtxType.S16, PtxType.U16, PtxType.S32, PtxType.U32, PtxType.S64, PtxType.U64);
    if (saturate && !(type == PtxType.S32 && (opcode.equals("add") || opcode.equals("sub")))) {
      throw o.refuse(".sat is for add.s32 and sub.s32");
    }
    if (part != null && part.equals("wide")) {
      return wide(o, type);
    }
    return switch (opcode) {
      case "abs", "neg" -> unary(o, type);
      case "mad", "mad24", "sad" -> ternary(o, type, part);
      default -> binary(o, type, part, saturate);
    };
  }

  private static int s24(int a) {
    return a << 8 >> 8;
  }

  private static Step wide(Operands o, PtxType type) {
    boolean mad = o.opcode().equals("mad");
    o.wantCount(mad ? 4 : 3);
    if (type.bits() == 64) {
      throw o.refuse(".wide is for 16 and 32 bits");
    }
    int a = o.source(1, type);
    int b = o.source(2, type);
    if (type.bits() == 16) {
      int d = o.result(0, PtxType.B32);
      boolean signed = type.isSigned();
      if (mad) {
        int c = o.source(3, PtxType.B32);
        Loops.IntIntIntFunction f =
            signed ? (x, y, z) -> (short) x * (short) y + z : (x, y, z) -> x * y + z;
        return LoopCopies.step(Loops.IntIntIntLoop.class, o.mnemonic(), f, d, a, b, c);
      }
      Loops.IntIntFunction f = signed ? (x, y) -> (short) x * (short) y : (x, y) -> x * y;
      return LoopCopies.step(Loops.IntIntLoop.class, o.mnemonic(), f, d, a, b);
    }
    int d = o.result(0, PtxType.B64);
    if (mad) {
      int c = o.source(3, PtxType.B64);
      Loops.IntIntLongToLongFunction f =
          type.isSigned()
              ? (x, y, z) -> (long) x * y + z
              : (x, y, z) -> (x & 0xFFFF_FFFFL) * (y & 0xFFFF_FFFFL) + z;
      return LoopCopies.step(Loops.IntIntLongToLongLoop.class, o.mnemonic(), f, d, a, b, c);
    }
    Loops.IntIntToLongFunction f =
        type.isSigned()
            ? (x, y) -> (long) x * y
            : (x, y) -> (x & 0xFFFF_FFFFL) * (y & 0xFFFF_FFFFL);
    return LoopCopies.step(Loops.IntIntToLongLoop.class, o.mnemonic(), f, d, a, b);
  }

  private static Step unary(Operands o, PtxType type) {
    o.wantCount(2);
    if (!type.isSigned()) {
      throw o.refuse("a signed type is wanted");
    }
    boolean abs = o.opcode().equals("abs");
    int a = o.source(1, type);
    int d = o.result(0, type);
    if (type.bits() == 64) {
      Loops.LongFunction f = abs ? Math::abs : x -> -x;
      return LoopCopies.step(Loops.LongLoop.class, o.mnemonic(), f, d, a);
    }
    Loops.IntFunction f;
    if (type.bits() == 16) {
      f = abs ? x -> Math.abs((short) x) & 0xFFFF : x -> -x & 0xFFFF;
    } else {
      f = abs ? Math::abs : x -> -x;
    }
    return LoopCopies.step(Loops.IntLoop.class, o.mnemonic(), f, d, a);
  }

  private static Step ternary(Operands o, PtxType type, @Nullable String part) {
    o.wantCount(4);
    int a = o.source(1, type);
    int b = o.source(2, type);
    int c = o.source(3, type);
    int d = o.result(0, type);
    boolean signed = type.isSigned();
    boolean high = "hi".equals(part);
    if (type.bits() == 64) {
      Loops.LongLongLongFunction f;
      if (o.opcode().equals("sad")) {
        f =
            signed
                ? (x, y, z) -> z + (x < y ? y - x : x - y)
                : (x, y, z) -> z + (Long.compareUnsigned(x, y) < 0 ? y - x : x - y);
      } else if (high) {
        f =
            signed
                ? (x, y, z) -> Math.multiplyHigh(x, y) + z
                : (x, y, z) -> Math.unsignedMultiplyHigh(x, y) + z;
      } else {
        f = (x, y, z) -> x * y + z;
      }
      return LoopCopies.step(Loops.LongLongLongLoop.class, o.mnemonic(), f, d, a, b, c);
    }
    Loops.IntIntIntFunction f;
    if (type.bits() == 16) {
      if (o.opcode().equals("sad")) {
        f =
            signed
                ? (x, y, z) -> (z + Math.abs((short) x - (short) y)) & 0xFFFF
                : (x, y, z) -> (z + Math.abs(x - y)) & 0xFFFF;
      } else if (high) {
        f =
            signed
                ? (x, y, z) -> ((((short) x * (short) y) >> 16) + z) & 0xFFFF
                : (x, y, z) -> (((x * y) >>> 16) + z) & 0xFFFF;
      } else {
        f = (x, y, z) -> (x * y + z) & 0xFFFF;
      }
    } else if (o.opcode().equals("sad")) {
      f =
          signed
              ? (x, y, z) -> z + (x < y ? y - x : x - y)
              : (x, y, z) -> z + (Integer.compareUnsigned(x, y) < 0 ? y - x : x - y);
    } else if (o.opcode().equals("mad24")) {
      f =
          signed
              ? (x, y, z) -> s24(x) * s24(y) + z
              : (x, y, z) -> (x & 0xFFFFFF) * (y & 0xFFFFFF) + z;
    } else if (high) {
      f = signed ? (x, y, z) -> highSigned(x, y) + z : (x, y, z) -> highUnsigned(x, y) + z;
    } else {
      f = (x, y, z) -> x * y + z;
    }
    return LoopCopies.step(Loops.IntIntIntLoop.class, o.mnemonic(), f, d, a, b, c);
  }

  static int highSigned(int x, int y) {
    return (int) (((long) x * y) >> 32);
  }

  static int highUnsigned(int x, int y) {
    return (int) (((x & 0xFFFF_FFFFL) * (y & 0xFFFF_FFFFL)) >>> 32);
  }

  private static Step binary(Operands o, PtxType type, @Nullable String part, boolean saturate) {
    o.wantCount(3);
    int a = o.source(1, type);
    int b = o.source(2, type);
    int d = o.result(0, type);
    String operation = part == null ? o.opcode() : o.opcode() + "." + part;
    if (type.bits() == 64) {
      Loops.LongLongFunction f = longFunction(o, operation, type.isSigned());
      return LoopCopies.step(Loops.LongLongLoop.class, o.mnemonic(), f, d, a, b);
    }
    Loops.IntIntFunction f =
        type.bits() == 16
            ? shortFunction(o, operation, type.isSigned())
            : saturate ? saturating(operation) : intFunction(o, operation, type.isSigned());
    return LoopCopies.step(Loops.IntIntLoop.class, o.mnemonic(), f, d, a, b);
  }

  private static Loops.IntIntFunction saturating(String operation) {
    return operation.equals("add")
        ? (x, y) -> Math.clamp((long) x + y, Integer.MIN_VALUE, Integer.MAX_VALUE)
        : (x, y) -> Math.clamp((long) x - y, Integer.MIN_VALUE, Integer.MAX_VALUE);
  }

  private static Loops.IntIntFunction intFunction(Operands o, String operation, boolean signed) {
    return switch (operation) {
      case "add" -> (x, y) -> x + y;
      case "sub" -> (x, y) -> x - y;
      case "mul.lo" -> (x, y) -> x * y;
      case "mul.hi" -> signed ? (x, y) -> highSigned(x, y) : (x, y) -> highUnsigned(x, y);
      case "mul24.lo" ->
          signed ? (x, y) -> s24(x) * s24(y) : (x, y) -> (x & 0xFFFFFF) * (y & 0xFFFFFF);
      // Division by zero has an unspecified result; this is what current GPUs give.
      case "div" ->
          signed
              ? (x, y) -> y == 0 ? -1 : x / y
              : (x, y) -> y == 0 ? -1 : Integer.divideUnsigned(x, y);
      case "rem" ->
          signed
              ? (x, y) -> y == 0 ? x : x % y
              : (x, y) -> y == 0 ? x : Integer.remainderUnsigned(x, y);
      case "min" -> signed ? Math::min : (x, y) -> Integer.compareUnsigned(x, y) <= 0 ? x : y;
      case "max" -> signed ? Math::max : (x, y) -> Integer.compareUnsigned(x, y) >= 0 ? x : y;
      default -> throw o.refuse("no such operation on integers");
    };
  }

  private static Loops.LongLongFunction longFunction(Operands o, String operation, boolean signed) {
    return switch (operation) {
      case "add" -> (x, y) -> x + y;
      case "sub" -> (x, y) -> x - y;
      case "mul.lo" -> (x, y) -> x * y;
      case "mul.hi" -> signed ? Math::multiplyHigh : Math::unsignedMultiplyHigh;
      case "div" ->
          signed
              ? (x, y) -> y == 0 ? -1 : x / y
              : (x, y) -> y == 0 ? -1 : Long.divideUnsigned(x, y);
      case "rem" ->
          signed
              ? (x, y) -> y == 0 ? x : x % y
              : (x, y) -> y == 0 ? x : Long.remainderUnsigned(x, y);
      case "min" -> signed ? Math::min : (x, y) -> Long.compareUnsigned(x, y) <= 0 ? x : y;
      case "max" -> signed ? Math::max : (x, y) -> Long.compareUnsigned(x, y) >= 0 ? x : y;
      default -> throw o.refuse("no such operation on integers");
    };
  }

  private static Loops.IntIntFunction shortFunction(Operands o, String operation, boolean signed) {
    return switch (operation) {
      case "add" -> (x, y) -> (x + y) & 0xFFFF;
      case "sub" -> (x, y) -> (x - y) & 0xFFFF;
      case "mul.lo" -> (x, y) -> (x * y) & 0xFFFF;
      case "mul.hi" ->
          signed
              ? (x, y) -> (((short) x * (short) y) >> 16) & 0xFFFF
              : (x, y) -> ((x * y) >>> 16) & 0xFFFF;
      case "div" ->
          signed
              ? (x, y) -> (y == 0 ? -1 : (short) x / (short) y) & 0xFFFF
              : (x, y) -> y == 0 ? 0xFFFF : x / y;
      case "rem" ->
          signed
              ? (x, y) -> (y == 0 ? x : (short) x % (short) y) & 0xFFFF
              : (x, y) -> y == 0 ? x : x % y;
      case "min" -> signed ? (x, y) -> (short) x <= (short) y ? x : y : Math::min;
      case "max" -> signed ? (x, y) -> (short) x >= (short) y ? x : y : Math::max;
      default -> throw o.refuse("no such operation on integers");
    };
  }
}
