package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxType;
import dev.heddle.simulated.simt.Formats.Rounding;

/** Arithmetic of {@code f16} and {@code bf16}, alone and in pairs. */
final class HalfDecoder {
  private HalfDecoder() {}

  static Step step(Operands o, boolean flush, boolean saturate) {
    PtxType type = o.type(PtxType.F16, PtxType.F16X2, PtxType.BF16, PtxType.BF16X2);
    boolean brain = type == PtxType.BF16 || type == PtxType.BF16X2;
    if (flush && (brain || o.opcode().equals("fma"))) {
      throw o.refuse(".ftz is supported for f32 only");
    }
    boolean pair = type.bits() == 32;
    String operation = o.opcode();
    boolean nan = (operation.equals("min") || operation.equals("max")) && o.take("NaN");
    boolean relu = operation.equals("fma") && o.take("relu");
    o.take("approx");
    if (FloatDecoder.rounding(o) != Rounding.NEAREST) {
      throw o.refuse("only rounding to nearest is supported");
    }
    if (flush) {
      throw o.refuse(".ftz is supported for f32 only");
    }
    return switch (operation) {
      case "abs", "neg" -> signs(o, type, operation.equals("abs"));
      case "ex2", "tanh" -> {
        o.wantCount(2);
        FloatDecoder.Unary f =
            operation.equals("ex2") ? a -> (float) Math.pow(2, a) : a -> (float) Math.tanh(a);
        Loops.IntFunction one = a -> narrowed(f.of(widened(a, brain)), brain, saturate);
        Loops.IntFunction g = pair ? a -> one.apply(a & 0xFFFF) | one.apply(a >>> 16) << 16 : one;
        yield LoopCopies.step(
            Loops.IntLoop.class, o.mnemonic(), g, o.result(0, type), o.source(1, type));
      }
      case "fma" -> {
        o.wantCount(4);
        Loops.IntIntIntFunction one =
            (a, b, c) -> {
              double product = (double) widened(a, brain) * widened(b, brain);
              double sum = Formats.oddSum(product, widened(c, brain));
              float rounded = widened(round(sum, brain), brain);
              return narrowed(relu && rounded < 0 ? 0 : rounded, brain, saturate);
            };
        Loops.IntIntIntFunction g =
            pair
                ? (a, b, c) ->
                    one.apply(a & 0xFFFF, b & 0xFFFF, c & 0xFFFF)
                        | one.apply(a >>> 16, b >>> 16, c >>> 16) << 16
                : one;
        yield LoopCopies.step(
            Loops.IntIntIntLoop.class,
            o.mnemonic(),
            g,
            o.result(0, type),
            o.source(1, type),
            o.source(2, type),
            o.source(3, type));
      }
      default -> {
        o.wantCount(3);
        FloatDecoder.Binary f =
            switch (operation) {
              case "add" -> (a, b) -> a + b;
              case "sub" -> (a, b) -> a - b;
              case "mul" -> (a, b) -> a * b;
              case "min" -> nan ? Math::min : Formats::min;
              case "max" -> nan ? Math::max : Formats::max;
              default -> throw o.refuse("no such operation on " + type);
            };
        // Sums and products of two 16-bit numbers, rounded to f32 first, round to the same 16 bits.
        Loops.IntIntFunction one =
            (a, b) -> narrowed(f.of(widened(a, brain), widened(b, brain)), brain, saturate);
        Loops.IntIntFunction g =
            pair
                ? (a, b) -> one.apply(a & 0xFFFF, b & 0xFFFF) | one.apply(a >>> 16, b >>> 16) << 16
                : one;
        yield LoopCopies.step(
            Loops.IntIntLoop.class,
            o.mnemonic(),
            g,
            o.result(0, type),
            o.source(1, type),
            o.source(2, type));
      }
    };
  }

  static float widened(int bits, boolean brain) {
    return brain ? Formats.bf16(bits & 0xFFFF) : Formats.f16(bits);
  }

  private static int round(double value, boolean brain) {
    return brain
        ? Formats.bf16Bits(value, Rounding.NEAREST)
        : Formats.f16Bits(value, Rounding.NEAREST);
  }

  static int narrowed(float value, boolean brain, boolean saturate) {
    float result = saturate ? Formats.saturated(value) : value;
    return brain ? Formats.bf16Bits(result) : Formats.f16Bits(result);
  }

  private static Step signs(Operands o, PtxType type, boolean abs) {
    o.wantCount(2);
    int signs = type.bits() == 32 ? 0x8000_8000 : 0x8000;
    Loops.IntFunction f = abs ? a -> a & ~signs : a -> a ^ signs;
    return LoopCopies.step(
        Loops.IntLoop.class, o.mnemonic(), f, o.result(0, type), o.source(1, type));
  }
}
