package dev.heddle.runtime.cpu;

import dev.heddle.runtime.machine.VectorProgram;
import java.util.function.DoubleUnaryOperator;

/**
 * A function of x &lt;= 0 by a polynomial for each piece of the line, for {@link
 * VectorProgram#lookUp}: piece k is around -k widths, and that of the last one is 0. A polynomial
 * has the function's values at the zeros of a Chebyshev polynomial, which is nearly the best there
 * is (Trefethen, "Approximation Theory and Approximation Practice", 2013, chapter 16). They are
 * computed when they are first needed, in about a millisecond.
 */
final class PiecewisePolynomial {
  /** How many pieces there are. */
  static final int PIECES = VectorProgram.TABLE;

  private PiecewisePolynomial() {}

  /**
   * The coefficients.
   *
   * @param function what to approximate, from half a width above 0 on
   * @param width of a piece
   * @param degree of the polynomials
   * @param centred whether polynomials are in the distance from the middle of their piece, which
   *     keeps digits that powers of x lose far from 0
   * @return of each power, from 0 up, the coefficient in each piece
   */
  static float[][] of(DoubleUnaryOperator function, double width, int degree, boolean centred) {
    double[] offsets = new double[degree + 1];
    for (int i = 0; i <= degree; i++) {
      offsets[i] = width / 2 * Math.cos(Math.PI * (i + 0.5) / (degree + 1));
    }
    float[][] coefficients = new float[degree + 1][PIECES];
    for (int piece = 0; piece < PIECES - 1; piece++) {
      double[] nodes = new double[degree + 1];
      double[] values = new double[degree + 1];
      for (int i = 0; i <= degree; i++) {
        double x = -piece * width + offsets[i];
        nodes[i] = centred ? offsets[i] : x;
        values[i] = function.applyAsDouble(x);
      }
      double[] polynomial = interpolated(nodes, values);
      for (int power = 0; power <= degree; power++) {
        coefficients[power][piece] = (float) polynomial[power];
      }
    }
    return coefficients;
  }

  /** The coefficients, from power 0 up, by Newton's divided differences. */
  private static double[] interpolated(double[] nodes, double[] values) {
    int degree = nodes.length - 1;
    double[] differences = values.clone();
    for (int order = 1; order <= degree; order++) {
      for (int i = degree; i >= order; i--) {
        differences[i] = (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - order]);
      }
    }
    // From the innermost bracket out: times (x - node), plus the next difference.
    double[] polynomial = new double[degree + 1];
    for (int i = degree; i >= 0; i--) {
      for (int power = degree; power > 0; power--) {
        polynomial[power] = polynomial[power - 1] - nodes[i] * polynomial[power];
      }
      polynomial[0] = differences[i] - nodes[i] * polynomial[0];
    }
    return polynomial;
  }
}
