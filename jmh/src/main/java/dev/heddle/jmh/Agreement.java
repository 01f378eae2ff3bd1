package dev.heddle.jmh;

import dev.heddle.runtime.NDArray;
import java.util.Locale;

/** Checks that what a benchmark computes is right, before it is timed. */
final class Agreement {
  /** Single precision, sums of some thousand terms in another order. */
  private static final double TOLERANCE = 2e-5;

  private Agreement() {}

  /**
   * Compares with the reference kernels' result.
   *
   * @throws IllegalStateException if they differ by more than rounding, so that nothing is timed
   */
  static void check(String what, NDArray measured, NDArray expected) {
    double[] ours = measured.toDoubles();
    double[] right = expected.toDoubles();
    double largest = 1e-6;
    for (double value : right) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int i = 0; i < right.length; i++) {
      double allowed = TOLERANCE * (Math.abs(right[i]) + largest);
      if (!(Math.abs(ours[i] - right[i]) <= allowed)) {
        throw new IllegalStateException(
            String.format(
                Locale.ROOT,
                "%s: element %d is %s, the reference kernels give %s; not timed",
                what,
                i,
                ours[i],
                right[i]));
      }
    }
  }
}
