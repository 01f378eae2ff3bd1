package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.math.BigDecimal;
import java.math.MathContext;
import org.junit.jupiter.api.Test;

class ErrorFunctionTest {
  private static final MathContext DIGITS = new MathContext(220);
  private static final BigDecimal SMALLEST = new BigDecimal("1e-200");
  private static final BigDecimal HALF_SQRT_PI =
      // Machin's formula: pi = 16 arctan(1/5) - 4 arctan(1/239).
      arctanOfInverse(5)
          .multiply(BigDecimal.valueOf(16))
          .subtract(arctanOfInverse(239).multiply(BigDecimal.valueOf(4)))
          .sqrt(DIGITS)
          .divide(BigDecimal.TWO, DIGITS);

  private static BigDecimal arctanOfInverse(long n) {
    BigDecimal power = BigDecimal.ONE.divide(BigDecimal.valueOf(n), DIGITS);
    BigDecimal sum = power;
    for (long k = 1; power.compareTo(SMALLEST) > 0; k++) {
      power = power.divide(BigDecimal.valueOf(n * n), DIGITS);
      BigDecimal term = power.divide(BigDecimal.valueOf(2 * k + 1), DIGITS);
      sum = k % 2 == 0 ? sum.add(term) : sum.subtract(term);
    }
    return sum;
  }

  /** erf by its Maclaurin series, with so many digits that cancellation does not matter. */
  private static BigDecimal series(double x) {
    BigDecimal value = new BigDecimal(x);
    BigDecimal square = value.multiply(value, DIGITS);
    BigDecimal power = value;
    BigDecimal sum = value;
    BigDecimal term = value;
    for (int n = 1; term.abs().compareTo(SMALLEST) > 0; n++) {
      power = power.multiply(square, DIGITS).divide(BigDecimal.valueOf(-n), DIGITS);
      term = power.divide(BigDecimal.valueOf(2L * n + 1), DIGITS);
      sum = sum.add(term, DIGITS);
    }
    return sum.divide(HALF_SQRT_PI, DIGITS);
  }

  @Test
  void erfAndErfc_fromMinusSixToSix_agreeWithTheSeriesToRounding() {
    for (double x = -6; x <= 6; x += 0.0871) {
      BigDecimal exact = series(x);
      double erf = exact.doubleValue();
      double erfc = BigDecimal.ONE.subtract(exact).doubleValue();
      assertThat(ErrorFunction.erf(x)).as("erf(%s)", x).isCloseTo(erf, within(3e-16));
      assertThat(ErrorFunction.erfc(x))
          .as("erfc(%s)", x)
          .isCloseTo(erfc, within(1e-15 * Math.abs(erfc)));
    }
  }

  @Test
  void erf_small_keepsRelativeAccuracy() {
    for (double x : new double[] {1e-300, 1e-20, 1e-8, 0.01, 0.3}) {
      double expected = series(x).doubleValue();
      assertThat(ErrorFunction.erf(x)).isCloseTo(expected, within(4e-16 * expected));
    }
  }

  @Test
  void erfc_farTail_keepsRelativeAccuracy() {
    for (double x : new double[] {7.3, 10, 12.5}) {
      double exact = BigDecimal.ONE.subtract(series(x)).doubleValue();
      assertThat(ErrorFunction.erfc(x)).isCloseTo(exact, within(1e-15 * exact));
    }
  }

  @Test
  void erf_endsAndSpecialValues_areExact() {
    assertThat(ErrorFunction.erf(0)).isZero();
    assertThat(ErrorFunction.erf(Double.POSITIVE_INFINITY)).isEqualTo(1);
    assertThat(ErrorFunction.erf(Double.NEGATIVE_INFINITY)).isEqualTo(-1);
    assertThat(ErrorFunction.erf(Double.NaN)).isNaN();
    assertThat(ErrorFunction.erfc(Double.POSITIVE_INFINITY)).isZero();
    assertThat(ErrorFunction.erfc(Double.NEGATIVE_INFINITY)).isEqualTo(2);
  }

  @Test
  void erf_acrossTheBranches_isMonotonous() {
    double previous = -1;
    for (double x = -7; x < 7; x += 1e-4) {
      double value = ErrorFunction.erf(x);
      assertThat(value).as("erf(%s)", x).isGreaterThanOrEqualTo(previous);
      previous = value;
    }
  }
}
