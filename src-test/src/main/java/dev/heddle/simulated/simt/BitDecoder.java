package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxType;

/** Logic, shifts and bit fields, on integers and (and, or, xor, not) on predicates. */
final class BitDecoder {
  private BitDecoder() {}

  static Step step(Operands o) {
    return switch (o.opcode()) {
      case "and", "or", "xor", "not" -> logic(o);
      case "cnot" -> countless(o);
      case "shl", "shr" -> shift(o);
      case "shf" -> funnel(o);
      case "bfe" -> extract(o);
      case "bfi" -> insert(o);
      case "bfind" -> findBit(o);
      case "brev", "popc", "clz" -> count(o);
      case "prmt" -> permute(o);
      case "lop3" -> lop3(o);
      default -> throw o.refuse("unknown");
    };
  }

  private static Step logic(Operands o) {
    PtxType type = o.type(PtxType.PRED, PtxType.B16, PtxType.B32, PtxType.B64);
    boolean unary = o.opcode().equals("not");
    o.wantCount(unary ? 2 : 3);
    if (type == PtxType.PRED) {
      Operands.Predicate a = o.predicate(o.get(1));
      Operands.Predicate b = unary ? a : o.predicate(o.get(2));
      PredicateLoops.Combination f =
          switch (o.opcode()) {
            case "and" -> (x, y) -> x & y;
            case "or" -> (x, y) -> x | y;
            case "xor" -> (x, y) -> x ^ y;
            default -> (x, y) -> ~x;
          };
      return new PredicateLoops.LogicStep(
          f, o.predicateResult(o.get(0)), a.place(), a.negated(), b.place(), b.negated());
    }
    int a = o.source(1, type);
    int d = o.result(0, type);
    if (unary) {
      return switch (type.bits()) {
        case 64 -> {
          Loops.LongFunction f = x -> ~x;
          yield LoopCopies.step(Loops.LongLoop.class, o.mnemonic(), f, d, a);
        }
        case 32 -> {
          Loops.IntFunction f = x -> ~x;
          yield LoopCopies.step(Loops.IntLoop.class, o.mnemonic(), f, d, a);
        }
        default -> {
          Loops.IntFunction f = x -> ~x & 0xFFFF;
          yield LoopCopies.step(Loops.IntLoop.class, o.mnemonic(), f, d, a);
        }
      };
    }
    int b = o.source(2, type);
    if (type.bits() == 64) {
      Loops.LongLongFunction f =
          switch (o.opcode()) {
            case "and" -> (x, y) -> x & y;
            case "or" -> (x, y) -> x | y;
            default -> (x, y) -> x ^ y;
          };
      return LoopCopies.step(Loops.LongLongLoop.class, o.mnemonic(), f, d, a, b);
    }
    Loops.IntIntFunction f =
        switch (o.opcode()) {
          case "and" -> (x, y) -> x & y;
          case "or" -> (x, y) -> x | y;
          default -> (x, y) -> x ^ y;
        };
    return LoopCopies.step(Loops.IntIntLoop.class, o.mnemonic(), f, d, a, b);
  }

  private static Step countless(Operands o) {
    PtxType type = o.type(PtxType.B16, PtxType.B32, PtxType.B64);
    int a = o.source(1, type);
    int d = o.result(0, type);
    if (type.bits() == 64) {
      Loops.LongFunction f = x -> x == 0 ? 1 : 0;
      return LoopCopies.step(Loops.LongLoop.class, o.mnemonic(), f, d, a);
    }
    Loops.IntFunction f = x -> x == 0 ? 1 : 0;
    return LoopCopies.step(Loops.IntLoop.class, o.mnemonic(), f, d, a);
  }

  private static Step shift(Operands o) {
    PtxType type = o.type();
    if (!type.isInteger() || type.bits() < 16) {
      throw o.refuse("type " + type + " cannot be shifted");
    }
    o.wantCount(3);
    boolean left = o.opcode().equals("shl");
    boolean signed = type.isSigned();
    int a = o.source(1, type);
    int b = o.source(2, PtxType.B32);
    int d = o.result(0, type);
    // Amounts are unsigned, and those beyond the width shift everything out.
    if (type.bits() == 64) {
      Loops.LongIntToLongFunction f =
          left
              ? (x, n) -> Integer.compareUnsigned(n, 63) > 0 ? 0 : x << n
              : signed
                  ? (x, n) -> x >> (Integer.compareUnsigned(n, 63) > 0 ? 63 : n)
                  : (x, n) -> Integer.compareUnsigned(n, 63) > 0 ? 0 : x >>> n;
      return LoopCopies.step(Loops.LongIntToLongLoop.class, o.mnemonic(), f, d, a, b);
    }
    Loops.IntIntFunction f;
    if (type.bits() == 32) {
      f =
          left
              ? (x, n) -> Integer.compareUnsigned(n, 31) > 0 ? 0 : x << n
              : signed
                  ? (x, n) -> x >> (Integer.compareUnsigned(n, 31) > 0 ? 31 : n)
                  : (x, n) -> Integer.compareUnsigned(n, 31) > 0 ? 0 : x >>> n;
    } else {
      f =
          left
              ? (x, n) -> Integer.compareUnsigned(n, 15) > 0 ? 0 : (x << n) & 0xFFFF
              : signed
                  ? (x, n) -> ((short) x >> (Integer.compareUnsigned(n, 15) > 0 ? 15 : n)) & 0xFFFF
                  : (x, n) -> Integer.compareUnsigned(n, 15) > 0 ? 0 : x >>> n;
    }
    return LoopCopies.step(Loops.IntIntLoop.class, o.mnemonic(), f, d, a, b);
  }

  private static Step funnel(Operands o) {
    boolean left = o.want("l", "r").equals("l");
    boolean wrap = o.want("wrap", "clamp").equals("wrap");
    o.type(PtxType.B32);
    o.wantCount(4);
    Loops.IntIntIntFunction f;
    if (left) {
      f =
          wrap
              ? (low, high, n) -> (int) (pair(low, high) << (n & 31) >>> 32)
              : (low, high, n) ->
                  Integer.compareUnsigned(n, 32) >= 0 ? low : (int) (pair(low, high) << n >>> 32);
    } else {
      f =
          wrap
              ? (low, high, n) -> (int) (pair(low, high) >>> (n & 31))
              : (low, high, n) ->
                  Integer.compareUnsigned(n, 32) >= 0 ? high : (int) (pair(low, high) >>> n);
    }
    return LoopCopies.step(
        Loops.IntIntIntLoop.class,
        o.mnemonic(),
        f,
        o.result(0, PtxType.B32),
        o.source(1, PtxType.B32),
        o.source(2, PtxType.B32),
        o.source(3, PtxType.B32));
  }

  static long pair(int low, int high) {
    return (long) high << 32 | (low & 0xFFFF_FFFFL);
  }

  private static Step extract(Operands o) {
    PtxType type = o.type(PtxType.U32, PtxType.S32, PtxType.U64, PtxType.S64);
    o.wantCount(4);
    boolean signed = type.isSigned();
    int a = o.source(1, type);
    int b = o.source(2, PtxType.B32);
    int c = o.source(3, PtxType.B32);
    int d = o.result(0, type);
    if (type.bits() == 64) {
      Loops.LongIntIntToLongFunction f =
          (x, position, length) -> field(x, position & 0xFF, length & 0xFF, signed, 64);
      return LoopCopies.step(Loops.LongIntIntToLongLoop.class, o.mnemonic(), f, d, a, b, c);
    }
    Loops.IntIntIntFunction f =
        (x, position, length) -> (int) field(x, position & 0xFF, length & 0xFF, signed, 32);
    return LoopCopies.step(Loops.IntIntIntLoop.class, o.mnemonic(), f, d, a, b, c);
  }

  /** A field of bits; beyond the value's end there are copies of its sign, or zeros. */
  private static long field(long value, int position, int length, boolean signed, int bits) {
    if (length == 0) {
      return 0;
    }
    long extended = signed || bits == 64 ? value : value & 0xFFFF_FFFFL;
    int shift = Math.min(position, 63);
    long moved = signed ? extended >> shift : position > 63 ? 0 : extended >>> shift;
    if (length >= bits) {
      return moved;
    }
    // The sign is the field's highest bit, or the value's where the field ends beyond it.
    return signed ? moved << (64 - length) >> (64 - length) : moved & ((1L << length) - 1);
  }

  private static Step insert(Operands o) {
    PtxType type = o.type(PtxType.B32, PtxType.B64);
    o.wantCount(5);
    int a = o.source(1, type);
    int b = o.source(2, type);
    int c = o.source(3, PtxType.B32);
    int e = o.source(4, PtxType.B32);
    int d = o.result(0, type);
    if (type.bits() == 64) {
      Loops.LongLongIntIntToLongFunction f =
          (from, into, position, length) -> inserted(from, into, position & 0xFF, length & 0xFF);
      return LoopCopies.step(Loops.LongLongIntIntToLongLoop.class, o.mnemonic(), f, d, a, b, c, e);
    }
    Loops.IntIntIntIntToIntFunction f =
        (from, into, position, length) ->
            (position & 0xFF) > 31
                ? into
                : (int) inserted(from, into, position & 0xFF, length & 0xFF);
    return LoopCopies.step(Loops.IntIntIntIntToIntLoop.class, o.mnemonic(), f, d, a, b, c, e);
  }

  private static long inserted(long from, long into, int position, int length) {
    if (position > 63 || length == 0) {
      return into;
    }
    long mask = (length >= 64 ? -1L : (1L << length) - 1) << position;
    return (into & ~mask) | (from << position & mask);
  }

  private static Step findBit(Operands o) {
    boolean amount = o.take("shiftamt");
    PtxType type = o.type(PtxType.U32, PtxType.S32, PtxType.U64, PtxType.S64);
    o.wantCount(2);
    boolean signed = type.isSigned();
    int a = o.source(1, type);
    int d = o.result(0, PtxType.B32);
    if (type.bits() == 64) {
      Loops.LongToIntFunction f =
          value -> {
            long bits = signed && value < 0 ? ~value : value;
            return bits == 0
                ? -1
                : amount ? Long.numberOfLeadingZeros(bits) : 63 - Long.numberOfLeadingZeros(bits);
          };
      return LoopCopies.step(Loops.LongToIntLoop.class, o.mnemonic(), f, d, a);
    }
    Loops.IntFunction f =
        value -> {
          int bits = signed && value < 0 ? ~value : value;
          return bits == 0
              ? -1
              : amount
                  ? Integer.numberOfLeadingZeros(bits)
                  : 31 - Integer.numberOfLeadingZeros(bits);
        };
    return LoopCopies.step(Loops.IntLoop.class, o.mnemonic(), f, d, a);
  }

  private static Step count(Operands o) {
    PtxType type = o.type(PtxType.B32, PtxType.B64);
    o.wantCount(2);
    int a = o.source(1, type);
    boolean reverse = o.opcode().equals("brev");
    if (type.bits() == 64 && reverse) {
      Loops.LongFunction f = Long::reverse;
      return LoopCopies.step(Loops.LongLoop.class, o.mnemonic(), f, o.result(0, type), a);
    }
    int d = o.result(0, PtxType.B32);
    if (type.bits() == 64) {
      Loops.LongToIntFunction f =
          o.opcode().equals("popc") ? Long::bitCount : Long::numberOfLeadingZeros;
      return LoopCopies.step(Loops.LongToIntLoop.class, o.mnemonic(), f, d, a);
    }
    Loops.IntFunction f =
        switch (o.opcode()) {
          case "popc" -> Integer::bitCount;
          case "clz" -> Integer::numberOfLeadingZeros;
          default -> Integer::reverse;
        };
    return LoopCopies.step(Loops.IntLoop.class, o.mnemonic(), f, d, a);
  }

  private static Step permute(Operands o) {
    o.type(PtxType.B32);
    o.wantCount(4);
    Loops.IntIntIntFunction f = BitDecoder::permuted;
    return LoopCopies.step(
        Loops.IntIntIntLoop.class,
        o.mnemonic(),
        f,
        o.result(0, PtxType.B32),
        o.source(1, PtxType.B32),
        o.source(2, PtxType.B32),
        o.source(3, PtxType.B32));
  }

  /** Every four bits of the selector choose a byte, the highest of them its sign instead. */
  private static int permuted(int a, int b, int selector) {
    long bytes = pair(a, b);
    int result = 0;
    for (int i = 0; i < 4; i++) {
      int choice = (selector >>> (4 * i)) & 0xF;
      int value = (int) (bytes >>> (8 * (choice & 7))) & 0xFF;
      if ((choice & 8) != 0) {
        value = (value & 0x80) != 0 ? 0xFF : 0;
      }
      result |= value << (8 * i);
    }
    return result;
  }

  private static Step lop3(Operands o) {
    o.type(PtxType.B32);
    o.wantCount(5);
    if (o.get(0) instanceof PtxOperand.Pair) {
      throw o.refuse("the form with a predicate as second result is not supported");
    }
    int table = (int) o.immediate(o.get(4)) & 0xFF;
    Loops.IntIntIntFunction f = (a, b, c) -> looked(table, a, b, c);
    return LoopCopies.step(
        Loops.IntIntIntLoop.class,
        o.mnemonic(),
        f,
        o.result(0, PtxType.B32),
        o.source(1, PtxType.B32),
        o.source(2, PtxType.B32),
        o.source(3, PtxType.B32));
  }

  private static int looked(int table, int a, int b, int c) {
    int result = 0;
    for (int i = 0; i < 8; i++) {
      if ((table >>> i & 1) != 0) {
        result |= ((i & 4) != 0 ? a : ~a) & ((i & 2) != 0 ? b : ~b) & ((i & 1) != 0 ? c : ~c);
      }
    }
    return result;
  }
}
