package dev.heddle.runtime.cpu;

import dev.heddle.runtime.machine.VectorProgram;
import dev.heddle.runtime.machine.VectorProgram.Value;
import jdk.incubator.vector.FloatVector;

/**
 * The functions of {@link VectorMath} as operations of a {@link VectorProgram}: the same ones in
 * the same order, so that machine code and Java have the same bits. What the approximations are is
 * told there.
 */
final class MachineMath {
  private static final int SIGN = 0x8000_0000;
  private static final int EXPONENT_SHIFT = 23;

  private final VectorProgram program;

  MachineMath(VectorProgram program) {
    this.program = program;
  }

  private Value constant(FloatVector value) {
    return program.constant(value.lane(0));
  }

  private Value multiplyAdd(Value a, FloatVector b, FloatVector c) {
    return program.multiplyAdd(a, constant(b), constant(c));
  }

  /** 2^n times p, where the low bits of {@code shifted} are n. */
  private Value timesPowerOf2(Value p, Value shifted) {
    return program.addBits(p, program.shiftUp(shifted, EXPONENT_SHIFT));
  }

  /** {@link VectorMath#exp}. */
  Value exp(Value x) {
    Value infinity = constant(VectorMath.INFINITY);
    return program.selectGreater(
        x, constant(VectorMath.EXP_OVERFLOW), infinity, expOfNonPositive(x));
  }

  /** {@link VectorMath#expOfNonPositive}. */
  Value expOfNonPositive(Value x) {
    Value shifted = multiplyAdd(x, VectorMath.LOG2_E, VectorMath.ROUNDER);
    Value n = program.subtract(shifted, constant(VectorMath.ROUNDER));
    Value r = program.multiplyAdd(n, constant(VectorMath.MINUS_LN2_HIGH), x);
    r = program.multiplyAdd(n, constant(VectorMath.MINUS_LN2_LOW), r);
    Value p = multiplyAdd(r, VectorMath.EXP_7, VectorMath.EXP_6);
    p = program.multiplyAdd(p, r, constant(VectorMath.EXP_5));
    p = program.multiplyAdd(p, r, constant(VectorMath.EXP_4));
    p = program.multiplyAdd(p, r, constant(VectorMath.EXP_3));
    p = program.multiplyAdd(p, r, constant(VectorMath.EXP_2));
    Value square = program.multiply(r, r);
    p = program.multiplyAdd(p, square, program.add(r, constant(VectorMath.ONE)));
    return zeroIfSmall(x, timesPowerOf2(p, shifted));
  }

  /** {@link Bf16ScoreRows}' exponential. */
  Value roughExp(Value x) {
    Value rounder = constant(VectorMath.ROUNDER);
    Value shifted = multiplyAdd(x, VectorMath.LOG2_E, VectorMath.ROUNDER);
    Value f =
        program.multiplyAdd(x, constant(VectorMath.LOG2_E), program.subtract(rounder, shifted));
    Value p = multiplyAdd(f, Bf16ScoreRows.POWER_4, Bf16ScoreRows.POWER_3);
    p = program.multiplyAdd(p, f, constant(Bf16ScoreRows.POWER_2));
    p = program.multiplyAdd(p, f, constant(Bf16ScoreRows.POWER_1));
    p = program.multiplyAdd(p, f, constant(VectorMath.ONE));
    return zeroIfSmall(x, timesPowerOf2(p, shifted));
  }

  private Value zeroIfSmall(Value x, Value power) {
    Value zero = constant(VectorMath.ZERO);
    return program.selectLess(x, constant(VectorMath.EXP_UNDERFLOW), zero, power);
  }

  /** 1 + e^-x. */
  private Value onePlusExpOfMinus(Value x) {
    return program.add(exp(program.addBits(x, program.bits(SIGN))), constant(VectorMath.ONE));
  }

  /** {@link VectorMath#silu}. */
  Value silu(Value x) {
    return program.divide(x, onePlusExpOfMinus(x));
  }

  /** {@link VectorMath#siluDerivative}. */
  Value siluDerivative(Value x) {
    Value one = constant(VectorMath.ONE);
    Value s = program.divide(one, onePlusExpOfMinus(x));
    return program.multiply(s, program.multiplyAdd(x, program.subtract(one, s), one));
  }
}
