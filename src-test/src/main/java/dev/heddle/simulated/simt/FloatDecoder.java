package dev.heddle.simulated.simt;

import static dev.heddle.simulated.simt.Formats.bits;
import static dev.heddle.simulated.simt.Formats.f32;
import static dev.heddle.simulated.simt.Formats.f64;

import dev.heddle.simulated.ptx.PtxType;
import dev.heddle.simulated.simt.Formats.Rounding;
import java.util.Set;

/**
 * Floating-point arithmetic of {@code f32} and {@code f64}; the 16-bit formats are {@link
 * HalfDecoder}'s. What PTX calls approximate is computed with {@code f32} precision.
 */
final class FloatDecoder {
  private static final Set<String> FLOATS = Set.of("f16", "f16x2", "bf16", "bf16x2", "f32", "f64");

  /** A function of one number. */
  interface Unary {
    float of(float a);
  }

  /** A function of two numbers. */
  interface Binary {
    float of(float a, float b);
  }

  /** A function of three numbers. */
  interface Ternary {
    float of(float a, float b, float c);
  }

  private FloatDecoder() {}

  static boolean isFloat(Operands o) {
    return FLOATS.stream().anyMatch(o::has);
  }

  static Step step(Operands o) {
    boolean flush = o.take("ftz");
    boolean saturate = o.take("sat");
    if (o.has("f32")) {
      o.type();
      return switch (o.opcode()) {
        case "abs", "neg", "rcp", "sqrt", "rsqrt", "ex2", "lg2", "sin", "cos", "tanh" ->
            unary(o, flush, saturate);
        case "fma", "mad" -> ternary(o, flush, saturate);
        case "testp" -> test(o);
        default -> binary(o, flush, saturate);
      };
    }
    if (o.has("f64")) {
      o.type();
      if (saturate) {
        throw o.refuse(".sat is not for f64");
      }
      return doubles(o, flush);
    }
    return HalfDecoder.step(o, flush, saturate);
  }

  static Rounding rounding(Operands o) {
    return switch (o.takeOneOf("rn", "rz", "rm", "rp")) {
      case "rz" -> Rounding.ZERO;
      case "rm" -> Rounding.DOWN;
      case "rp" -> Rounding.UP;
      case null, default -> Rounding.NEAREST;
    };
  }

  private static Step unary(Operands o, boolean flush, boolean saturate) {
    o.wantCount(2);
    String operation = o.opcode();
    Unary f;
    switch (operation) {
      case "abs" -> f = Math::abs;
      case "neg" -> f = a -> -a;
      default -> {
        boolean approximate = o.take("approx");
        Rounding rounding = approximate ? Rounding.NEAREST : rounding(o);
        boolean wantsApproximation = !operation.equals("rcp") && !operation.equals("sqrt");
        if (wantsApproximation && !approximate) {
          throw o.refuse(".approx is wanted");
        }
        f =
            switch (operation) {
              case "rcp" -> a -> f32(1.0 / a, rounding);
              case "sqrt" ->
                  rounding == Rounding.NEAREST
                      ? a -> (float) Math.sqrt(a)
                      : a -> f32(directedSqrt(a), rounding);
              case "rsqrt" -> a -> (float) (1.0 / Math.sqrt(a));
              case "ex2" -> a -> (float) exp2(a);
              case "lg2" -> a -> (float) (Math.log(a) / LN_2);
              case "sin" -> a -> (float) Math.sin(a);
              case "cos" -> a -> (float) Math.cos(a);
              case "tanh" -> a -> (float) Math.tanh(a);
              default -> throw o.refuse("unknown");
            };
        if (operation.equals("rcp") && rounding != Rounding.NEAREST) {
          throw o.refuse("directed rounding of reciprocals is not supported");
        }
      }
    }
    Loops.IntFunction g;
    if (flush || saturate) {
      g =
          a -> {
            float value = f.of(flush ? Formats.flushed(f32(a)) : f32(a));
            return bits(finished(value, flush, saturate));
          };
    } else {
      g =
          switch (operation) {
            case "abs" -> a -> a & 0x7FFF_FFFF;
            case "neg" -> a -> a ^ 0x8000_0000;
            case "ex2" -> a -> bits((float) exp2(f32(a)));
            default -> a -> bits(f.of(f32(a)));
          };
    }
    return LoopCopies.step(
        Loops.IntLoop.class, o.mnemonic(), g, o.result(0, PtxType.F32), o.source(1, PtxType.F32));
  }

  private static final double LN_2 = 0.693147180559945309417232121458;

  /** A square root whose last bit says whether it is inexact, so that it can be rounded again. */
  private static double directedSqrt(float a) {
    double root = Math.sqrt(a);
    double error = Math.fma(-root, root, a);
    if (error == 0 || Double.isNaN(root) || (Double.doubleToRawLongBits(root) & 1) != 0) {
      return root;
    }
    return error > 0 ? Math.nextUp(root) : Math.nextDown(root);
  }

  private static double exp2(float a) {
    return Math.exp(a * LN_2);
  }

  private static float finished(float value, boolean flush, boolean saturate) {
    float result = flush ? Formats.flushed(value) : value;
    return saturate ? Formats.saturated(result) : result;
  }

  private static Step binary(Operands o, boolean flush, boolean saturate) {
    o.wantCount(3);
    String operation = o.opcode();
    boolean exact = Set.of("min", "max", "copysign").contains(operation);
    boolean nan = exact && o.take("NaN");
    boolean division = operation.equals("div");
    boolean approximate = division && o.takeOneOf("approx", "full") != null;
    Rounding rounding = exact || approximate ? Rounding.NEAREST : rounding(o);
    if (division && rounding != Rounding.NEAREST) {
      throw o.refuse("directed rounding of quotients is not supported");
    }
    Loops.IntIntFunction g;
    if (operation.equals("copysign")) {
      g = (a, b) -> (a & 0x8000_0000) | (b & 0x7FFF_FFFF);
    } else if (flush || saturate || nan || rounding != Rounding.NEAREST) {
      Binary f =
          switch (operation) {
            case "add" -> (a, b) -> Formats.add(a, b, rounding);
            case "sub" -> (a, b) -> Formats.add(a, -b, rounding);
            case "mul" -> (a, b) -> Formats.mul(a, b, rounding);
            case "div" -> (a, b) -> a / b;
            case "min" -> nan ? Math::min : Formats::min;
            case "max" -> nan ? Math::max : Formats::max;
            default -> throw o.refuse("no such operation on f32");
          };
      g =
          (a, b) -> {
            float left = flush ? Formats.flushed(f32(a)) : f32(a);
            float right = flush ? Formats.flushed(f32(b)) : f32(b);
            return bits(finished(f.of(left, right), flush, saturate));
          };
    } else {
      g =
          switch (operation) {
            case "add" -> (a, b) -> bits(f32(a) + f32(b));
            case "sub" -> (a, b) -> bits(f32(a) - f32(b));
            case "mul" -> (a, b) -> bits(f32(a) * f32(b));
            case "div" -> (a, b) -> bits(f32(a) / f32(b));
            case "min" -> (a, b) -> bits(Formats.min(f32(a), f32(b)));
            case "max" -> (a, b) -> bits(Formats.max(f32(a), f32(b)));
            default -> throw o.refuse("no such operation on f32");
          };
    }
    return LoopCopies.step(
        Loops.IntIntLoop.class,
        o.mnemonic(),
        g,
        o.result(0, PtxType.F32),
        o.source(1, PtxType.F32),
        o.source(2, PtxType.F32));
  }

  private static Step ternary(Operands o, boolean flush, boolean saturate) {
    o.wantCount(4);
    Rounding rounding = rounding(o);
    Loops.IntIntIntFunction g;
    if (flush || saturate) {
      g =
          (a, b, c) -> {
            float x = flush ? Formats.flushed(f32(a)) : f32(a);
            float y = flush ? Formats.flushed(f32(b)) : f32(b);
            float z = flush ? Formats.flushed(f32(c)) : f32(c);
            return bits(finished(Formats.fma(x, y, z, rounding), flush, saturate));
          };
    } else if (rounding == Rounding.NEAREST) {
      g = (a, b, c) -> bits(Math.fma(f32(a), f32(b), f32(c)));
    } else {
      g = (a, b, c) -> bits(Formats.fma(f32(a), f32(b), f32(c), rounding));
    }
    return LoopCopies.step(
        Loops.IntIntIntLoop.class,
        o.mnemonic(),
        g,
        o.result(0, PtxType.F32),
        o.source(1, PtxType.F32),
        o.source(2, PtxType.F32),
        o.source(3, PtxType.F32));
  }

  /** {@code testp.f32}: what kind of number it is. */
  private static Step test(Operands o) {
    o.wantCount(2);
    PredicateLoops.IntComparison f =
        switch (o.want("finite", "infinite", "number", "notanumber", "normal", "subnormal")) {
          case "finite" -> (a, b) -> Float.isFinite(f32(a));
          case "infinite" -> (a, b) -> Float.isInfinite(f32(a));
          case "number" -> (a, b) -> !Float.isNaN(f32(a));
          case "notanumber" -> (a, b) -> Float.isNaN(f32(a));
          case "normal" -> (a, b) -> Float.isFinite(f32(a)) && Math.abs(f32(a)) >= Float.MIN_NORMAL;
          default -> (a, b) -> f32(a) != 0 && Math.abs(f32(a)) < Float.MIN_NORMAL;
        };
    int a = o.source(1, PtxType.F32);
    PredicateLoops.Combination none = (compared, other) -> compared;
    return LoopCopies.step(
        PredicateLoops.IntCompareLoop.class,
        o.mnemonic(),
        f,
        a,
        a,
        o.predicateResult(o.get(0)),
        0,
        none,
        0,
        false);
  }

  private static Step doubles(Operands o, boolean flush) {
    String operation = o.opcode();
    boolean approximate = o.take("approx");
    boolean takesApproximation = operation.equals("rcp") || operation.equals("rsqrt");
    if ((approximate || flush) && !takesApproximation) {
      throw o.refuse("this is not for f64");
    }
    boolean nan = (operation.equals("min") || operation.equals("max")) && o.take("NaN");
    if (rounding(o) != Rounding.NEAREST) {
      throw o.refuse("directed rounding of f64 is not supported");
    }
    return switch (operation) {
      case "fma", "mad" -> {
        o.wantCount(4);
        Loops.LongLongLongFunction f = (a, b, c) -> bits(Math.fma(f64(a), f64(b), f64(c)));
        yield LoopCopies.step(
            Loops.LongLongLongLoop.class,
            o.mnemonic(),
            f,
            o.result(0, PtxType.F64),
            o.source(1, PtxType.F64),
            o.source(2, PtxType.F64),
            o.source(3, PtxType.F64));
      }
      case "abs", "neg", "rcp", "sqrt", "rsqrt" -> {
        o.wantCount(2);
        Loops.LongFunction f =
            switch (operation) {
              case "abs" -> a -> a & Long.MAX_VALUE;
              case "neg" -> a -> a ^ Long.MIN_VALUE;
              case "rcp" -> a -> bits(1 / f64(a));
              case "sqrt" -> a -> bits(Math.sqrt(f64(a)));
              default -> a -> bits(1 / Math.sqrt(f64(a)));
            };
        yield LoopCopies.step(
            Loops.LongLoop.class,
            o.mnemonic(),
            f,
            o.result(0, PtxType.F64),
            o.source(1, PtxType.F64));
      }
      default -> {
        o.wantCount(3);
        Loops.LongLongFunction f =
            switch (operation) {
              case "add" -> (a, b) -> bits(f64(a) + f64(b));
              case "sub" -> (a, b) -> bits(f64(a) - f64(b));
              case "mul" -> (a, b) -> bits(f64(a) * f64(b));
              case "div" -> (a, b) -> bits(f64(a) / f64(b));
              case "copysign" -> (a, b) -> (a & Long.MIN_VALUE) | (b & Long.MAX_VALUE);
              case "min" ->
                  nan
                      ? (a, b) -> bits(Math.min(f64(a), f64(b)))
                      : (a, b) -> bits(Formats.min(f64(a), f64(b)));
              case "max" ->
                  nan
                      ? (a, b) -> bits(Math.max(f64(a), f64(b)))
                      : (a, b) -> bits(Formats.max(f64(a), f64(b)));
              default -> throw o.refuse("no such operation on f64");
            };
        yield LoopCopies.step(
            Loops.LongLongLoop.class,
            o.mnemonic(),
            f,
            o.result(0, PtxType.F64),
            o.source(1, PtxType.F64),
            o.source(2, PtxType.F64));
      }
    };
  }
}
