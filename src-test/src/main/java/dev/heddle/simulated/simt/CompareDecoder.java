package dev.heddle.simulated.simt;

import static dev.heddle.simulated.simt.Formats.f32;
import static dev.heddle.simulated.simt.Formats.f64;

import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxType;

/** {@code setp}, {@code set}, {@code selp} and {@code slct}. */
final class CompareDecoder {
  private static final PredicateLoops.Combination FIRST = (compared, other) -> compared;

  private CompareDecoder() {}

  static Step step(Operands o) {
    return switch (o.opcode()) {
      case "setp" -> setPredicate(o);
      case "set" -> set(o);
      case "selp" -> select(o);
      default -> selectBySign(o);
    };
  }

  private static Step setPredicate(Operands o) {
    String comparison = o.first();
    String logic = o.takeOneOf("and", "or", "xor");
    boolean flush = o.take("ftz");
    PtxType type = o.type();
    o.wantCount(logic == null ? 3 : 4);
    PredicateLoops.Combination combination =
        switch (logic) {
          case "and" -> (compared, other) -> compared & other;
          case "or" -> (compared, other) -> compared | other;
          case "xor" -> (compared, other) -> compared ^ other;
          case null, default -> FIRST;
        };
    Operands.Predicate c = logic == null ? new Operands.Predicate(0, false) : o.predicate(o.get(3));
    PtxOperand target = o.get(0);
    int p;
    int q = 0;
    if (target instanceof PtxOperand.Pair pair) {
      p = o.predicateResult(pair.first());
      q = o.predicateResult(pair.second());
    } else {
      p = o.predicateResult(target);
    }
    int a = o.source(1, type);
    int b = o.source(2, type);
    if (type.bits() == 64) {
      return LoopCopies.step(
          PredicateLoops.LongCompareLoop.class,
          o.mnemonic(),
          wide(o, comparison, type),
          a,
          b,
          p,
          q,
          combination,
          c.place(),
          c.negated());
    }
    return LoopCopies.step(
        PredicateLoops.IntCompareLoop.class,
        o.mnemonic(),
        narrow(o, comparison, type, flush),
        a,
        b,
        p,
        q,
        combination,
        c.place(),
        c.negated());
  }

  private static PredicateLoops.IntComparison narrow(
      Operands o, String comparison, PtxType type, boolean flush) {
    return switch (type) {
      case F32 -> {
        PredicateLoops.IntComparison plain = singles(o, comparison);
        yield flush ? (a, b) -> plain.apply(flushed(a), flushed(b)) : plain;
      }
      case F16, BF16 -> {
        boolean brain = type == PtxType.BF16;
        PredicateLoops.IntComparison plain = singles(o, comparison);
        yield (a, b) ->
            plain.apply(
                Formats.bits(HalfDecoder.widened(a, brain)),
                Formats.bits(HalfDecoder.widened(b, brain)));
      }
      case S16 -> {
        PredicateLoops.IntComparison plain = ints(o, comparison, true);
        yield (a, b) -> plain.apply((short) a, (short) b);
      }
      case S32 -> ints(o, comparison, true);
      case U16, B16, U32, B32 -> ints(o, comparison, false);
      default -> throw o.refuse("type " + type + " cannot be compared");
    };
  }

  private static int flushed(int bits) {
    return Formats.bits(Formats.flushed(f32(bits)));
  }

  private static PredicateLoops.IntComparison ints(Operands o, String comparison, boolean signed) {
    return switch (comparison) {
      case "eq" -> (a, b) -> a == b;
      case "ne" -> (a, b) -> a != b;
      case "lt" ->
          signed ? (a, b) -> a < b : (a, b) -> a + Integer.MIN_VALUE < b + Integer.MIN_VALUE;
      case "le" ->
          signed ? (a, b) -> a <= b : (a, b) -> a + Integer.MIN_VALUE <= b + Integer.MIN_VALUE;
      case "gt" ->
          signed ? (a, b) -> a > b : (a, b) -> a + Integer.MIN_VALUE > b + Integer.MIN_VALUE;
      case "ge" ->
          signed ? (a, b) -> a >= b : (a, b) -> a + Integer.MIN_VALUE >= b + Integer.MIN_VALUE;
      case "lo" -> (a, b) -> Integer.compareUnsigned(a, b) < 0;
      case "ls" -> (a, b) -> Integer.compareUnsigned(a, b) <= 0;
      case "hi" -> (a, b) -> Integer.compareUnsigned(a, b) > 0;
      case "hs" -> (a, b) -> Integer.compareUnsigned(a, b) >= 0;
      default -> throw o.refuse("comparison " + comparison + " is not for integers");
    };
  }

  private static PredicateLoops.IntComparison singles(Operands o, String comparison) {
    return switch (comparison) {
      case "eq" -> (a, b) -> f32(a) == f32(b);
      // Ordered: false if either is NaN.
      case "ne" -> (a, b) -> f32(a) < f32(b) || f32(a) > f32(b);
      case "lt" -> (a, b) -> f32(a) < f32(b);
      case "le" -> (a, b) -> f32(a) <= f32(b);
      case "gt" -> (a, b) -> f32(a) > f32(b);
      case "ge" -> (a, b) -> f32(a) >= f32(b);
      case "equ" -> (a, b) -> !(f32(a) < f32(b) || f32(a) > f32(b));
      case "neu" -> (a, b) -> f32(a) != f32(b);
      case "ltu" -> (a, b) -> !(f32(a) >= f32(b));
      case "leu" -> (a, b) -> !(f32(a) > f32(b));
      case "gtu" -> (a, b) -> !(f32(a) <= f32(b));
      case "geu" -> (a, b) -> !(f32(a) < f32(b));
      case "num" -> (a, b) -> !Float.isNaN(f32(a)) && !Float.isNaN(f32(b));
      case "nan" -> (a, b) -> Float.isNaN(f32(a)) || Float.isNaN(f32(b));
      default -> throw o.refuse("comparison " + comparison + " is not for numbers");
    };
  }

  private static PredicateLoops.LongComparison wide(Operands o, String comparison, PtxType type) {
    if (type == PtxType.F64) {
      return switch (comparison) {
        case "eq" -> (a, b) -> f64(a) == f64(b);
        case "ne" -> (a, b) -> f64(a) < f64(b) || f64(a) > f64(b);
        case "lt" -> (a, b) -> f64(a) < f64(b);
        case "le" -> (a, b) -> f64(a) <= f64(b);
        case "gt" -> (a, b) -> f64(a) > f64(b);
        case "ge" -> (a, b) -> f64(a) >= f64(b);
        case "equ" -> (a, b) -> !(f64(a) < f64(b) || f64(a) > f64(b));
        case "neu" -> (a, b) -> f64(a) != f64(b);
        case "ltu" -> (a, b) -> !(f64(a) >= f64(b));
        case "leu" -> (a, b) -> !(f64(a) > f64(b));
        case "gtu" -> (a, b) -> !(f64(a) <= f64(b));
        case "geu" -> (a, b) -> !(f64(a) < f64(b));
        case "num" -> (a, b) -> !Double.isNaN(f64(a)) && !Double.isNaN(f64(b));
        case "nan" -> (a, b) -> Double.isNaN(f64(a)) || Double.isNaN(f64(b));
        default -> throw o.refuse("comparison " + comparison + " is not for numbers");
      };
    }
    boolean signed = type.isSigned();
    return switch (comparison) {
      case "eq" -> (a, b) -> a == b;
      case "ne" -> (a, b) -> a != b;
      case "lt" -> signed ? (a, b) -> a < b : (a, b) -> Long.compareUnsigned(a, b) < 0;
      case "le" -> signed ? (a, b) -> a <= b : (a, b) -> Long.compareUnsigned(a, b) <= 0;
      case "gt" -> signed ? (a, b) -> a > b : (a, b) -> Long.compareUnsigned(a, b) > 0;
      case "ge" -> signed ? (a, b) -> a >= b : (a, b) -> Long.compareUnsigned(a, b) >= 0;
      case "lo" -> (a, b) -> Long.compareUnsigned(a, b) < 0;
      case "ls" -> (a, b) -> Long.compareUnsigned(a, b) <= 0;
      case "hi" -> (a, b) -> Long.compareUnsigned(a, b) > 0;
      case "hs" -> (a, b) -> Long.compareUnsigned(a, b) >= 0;
      default -> throw o.refuse("comparison " + comparison + " is not for integers");
    };
  }

  /** {@code set}: all ones or 1.0 where the comparison holds. */
  private static Step set(Operands o) {
    String comparison = o.first();
    if (o.takeOneOf("and", "or", "xor") != null) {
      throw o.refuse("set with a predicate is not supported");
    }
    boolean flush = o.take("ftz");
    PtxType result = o.type();
    PtxType type = o.type();
    o.wantCount(3);
    if (result.bits() == 64) {
      throw o.refuse("a result of 64 bits is not supported");
    }
    int d = o.result(0, result);
    int a = o.source(1, type);
    int b = o.source(2, type);
    if (type == PtxType.F16X2 || type == PtxType.BF16X2) {
      boolean brain = type == PtxType.BF16X2;
      PtxType half = brain ? PtxType.BF16 : PtxType.F16;
      int yes = one(o, result.isFloat() ? half : PtxType.B16);
      PredicateLoops.IntComparison f = narrow(o, comparison, half, flush);
      Loops.IntIntFunction g =
          (x, y) ->
              (f.apply(x & 0xFFFF, y & 0xFFFF) ? yes : 0)
                  | (f.apply(x >>> 16, y >>> 16) ? yes : 0) << 16;
      return LoopCopies.step(Loops.IntIntLoop.class, o.mnemonic(), g, d, a, b);
    }
    int yes = one(o, result);
    if (type.bits() == 64) {
      PredicateLoops.LongComparison f = wide(o, comparison, type);
      Loops.LongLongToIntFunction g = (x, y) -> f.apply(x, y) ? yes : 0;
      return LoopCopies.step(Loops.LongLongToIntLoop.class, o.mnemonic(), g, d, a, b);
    }
    PredicateLoops.IntComparison f = narrow(o, comparison, type, flush);
    Loops.IntIntFunction g = (x, y) -> f.apply(x, y) ? yes : 0;
    return LoopCopies.step(Loops.IntIntLoop.class, o.mnemonic(), g, d, a, b);
  }

  private static int one(Operands o, PtxType type) {
    return switch (type) {
      case F32 -> Formats.bits(1f);
      case F16 -> Formats.f16Bits(1f);
      case BF16 -> Formats.bf16Bits(1f);
      case U32, S32, B32 -> -1;
      case U16, S16, B16 -> 0xFFFF;
      default -> throw o.refuse("a result of type " + type + " is not supported");
    };
  }

  private static Step select(Operands o) {
    PtxType type = o.type();
    o.wantCount(4);
    if (type == PtxType.PRED || type.bits() < 16) {
      throw o.refuse("type " + type + " cannot be selected");
    }
    int d = o.result(0, type);
    int a = o.source(1, type);
    int b = o.source(2, type);
    Operands.Predicate c = o.predicate(o.get(3));
    return type.bits() == 64
        ? new PredicateLoops.LongSelectLoop(d, a, b, c.place(), c.negated())
        : new PredicateLoops.IntSelectLoop(d, a, b, c.place(), c.negated());
  }

  /** {@code slct}: the first where the third is not negative. */
  private static Step selectBySign(Operands o) {
    o.take("ftz");
    PtxType type = o.type();
    PtxType by = o.type(PtxType.S32, PtxType.F32);
    o.wantCount(4);
    if (type.bits() != 32) {
      throw o.refuse("slct is supported for 32 bits only");
    }
    Loops.IntIntIntFunction f =
        by == PtxType.S32 ? (a, b, c) -> c >= 0 ? a : b : (a, b, c) -> f32(c) >= 0 ? a : b;
    return LoopCopies.step(
        Loops.IntIntIntLoop.class,
        o.mnemonic(),
        f,
        o.result(0, type),
        o.source(1, type),
        o.source(2, type),
        o.source(3, by));
  }
}
