package dev.heddle.runtime.cpu;

import dev.heddle.runtime.machine.VectorProgram;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.machine.VectorProgram.Value;

/**
 * GELU and its gradient for bf16 arrays by tables, in half the time of {@link MachineMath}'s
 * formulas, which have a division and digits that bf16 rounds away. Of 65,536 values all but a
 * handful give the bf16 number that is nearest to the true one, and those the next; Java's loops,
 * which have other formulas, round to the same number but for a few as well.
 *
 * <p>With n = -|x| GELU is max(x, 0) + n Φ(n), and its derivative at n is (n - z) w(n), where z is
 * its zero and w positive; the derivative at |x| is 1 less that. Φ and w fall like e^(-n²/2), too
 * steeply for few polynomials, but their eighth roots do not: a cubic for each of 32 pieces gives
 * the root to 2^-20 where values matter, and to 2^-13 where they are below 2^-100. From {@link
 * #PIECE} times 30.5 down, where Φ would become subnormal, it is 0.
 */
final class MachineGelu {
  private static final int SIGN = 0x8000_0000;

  /** The width of a piece, so that 32 of them end where F32 does. */
  private static final double PIECE = 27 / 64.0;

  private static final int DEGREE = 3;

  /** From here on, the middle of the last piece, all is as here. */
  private static final float LOWEST = (float) (-(PiecewisePolynomial.PIECES - 1) * PIECE);

  /** Where GELU is least: the zero of Φ(x) + x φ(x). */
  private static final double LEAST = -0.75179152469356457;

  private static final double INVERSE_SQRT_2 = 0.70710678118654752440;
  private static final double INVERSE_SQRT_2_PI = 0.39894228040143267794;

  private static final float[][] ROOTS_OF_DISTRIBUTION =
      PiecewisePolynomial.of(x -> eighthRoot(distribution(x)), PIECE, DEGREE);
  private static final float[][] ROOTS_OF_SLOPE =
      PiecewisePolynomial.of(x -> eighthRoot(derivative(x) / (x - LEAST)), PIECE, DEGREE);

  private final VectorProgram program;
  private final Value x;

  /** -|x|, but not below {@link #LOWEST}; what is not a number stays so. */
  private final Value negative;

  private MachineGelu(VectorProgram program) {
    this.program = program;
    x = program.load(0);
    Value minusMagnitude = program.or(x, program.bits(SIGN));
    negative = program.maximum(program.constant(LOWEST), minusMagnitude);
  }

  /** y = gelu(x), of bf16 arrays x and y. */
  static VectorProgram forward() {
    VectorProgram program = new VectorProgram(Type.BF16, Type.BF16);
    MachineGelu gelu = new MachineGelu(program);
    Value distribution = gelu.eighthPower(ROOTS_OF_DISTRIBUTION);
    Value positivePart = program.maximum(program.constant(0), gelu.x);
    Value y = program.multiplyAdd(gelu.negative, distribution, positivePart);
    program.storeApproximation(1, y);
    return program;
  }

  /** dx = gelu'(x) dy, of bf16 arrays x, dy and dx. */
  static VectorProgram backward() {
    VectorProgram program = new VectorProgram(Type.BF16, Type.BF16, Type.BF16);
    MachineGelu gelu = new MachineGelu(program);
    Value slope = gelu.eighthPower(ROOTS_OF_SLOPE);
    Value fromZero = program.subtract(gelu.negative, program.constant((float) LEAST));
    Value below = program.multiply(fromZero, slope);
    Value above = program.subtract(program.constant(1), below);
    Value derivative = program.selectLess(gelu.x, program.constant(0), below, above);
    program.storeApproximation(2, program.multiply(derivative, program.load(1)));
    return program;
  }

  private Value eighthPower(float[][] roots) {
    Value rounder = program.constant(VectorMath.ROUNDER.lane(0));
    Value piece = program.multiplyAdd(negative, program.constant((float) (-1 / PIECE)), rounder);
    Value root = program.lookUp(piece, roots[DEGREE]);
    for (int power = DEGREE - 1; power >= 0; power--) {
      root = program.multiplyAdd(root, negative, program.lookUp(piece, roots[power]));
    }
    Value square = program.multiply(root, root);
    Value fourth = program.multiply(square, square);
    return program.multiply(fourth, fourth);
  }

  private static double eighthRoot(double value) {
    return Math.sqrt(Math.sqrt(Math.sqrt(value)));
  }

  private static double distribution(double x) {
    return 0.5 * ErrorFunction.erfc(-x * INVERSE_SQRT_2);
  }

  private static double derivative(double x) {
    return distribution(x) + x * INVERSE_SQRT_2_PI * Math.exp(-0.5 * x * x);
  }
}
