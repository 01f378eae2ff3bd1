package dev.heddle.oracle;

import dev.heddle.runtime.DType;
import org.assertj.core.api.Assertions;

/**
 * How close values must be: |ours - theirs| is at most {@code relative} |theirs| + {@code absolute}
 * m, with m the largest |theirs| of the array, at least 0.1 as inputs are about 1, or the size that
 * such sums have. The second term is there because a sum that cancels keeps the rounding error of
 * its summands.
 *
 * @param relative share of each element
 * @param absolute share of the largest element
 */
record Tolerance(double relative, double absolute) {
  /** What m is at least, unless a case knows better. */
  static final double SMALLEST_SIZE = 0.1;

  /** Double precision against double precision. */
  static final Tolerance F64 = new Tolerance(1e-10, 1e-10);

  /** Single precision against double precision, sums of at most a few thousand terms. */
  static final Tolerance F32 = new Tolerance(1e-5, 3e-6);

  /** The tolerance for arrays of {@code dtype}. */
  static Tolerance of(DType dtype) {
    return switch (dtype) {
      case F64 -> F64;
      case F32 -> F32;
      default -> throw new IllegalArgumentException("Tolerance.of: " + dtype);
    };
  }

  /** This with both parts {@code factor} times as wide. */
  Tolerance times(double factor) {
    return new Tolerance(relative * factor, absolute * factor);
  }

  /** Fails, naming the worst element, if any element is further off than allowed. */
  void check(String what, double[] ours, double[] theirs) {
    check(what, ours, theirs, SMALLEST_SIZE);
  }

  /** The same with the largest element taken to be at least {@code size}. */
  void check(String what, double[] ours, double[] theirs, double size) {
    Assertions.assertThat(ours.length).as("%s: number of elements", what).isEqualTo(theirs.length);
    double scale = size;
    for (double value : theirs) {
      if (!Double.isFinite(value)) {
        Assertions.fail("%s: libtorch itself gives %s; choose other inputs", what, value);
      }
      scale = Math.max(scale, Math.abs(value));
    }
    int worst = -1;
    double worstShare = 1;
    int bad = 0;
    for (int i = 0; i < ours.length; i++) {
      double allowed = relative * Math.abs(theirs[i]) + absolute * scale;
      double share = Math.abs(ours[i] - theirs[i]) / allowed;
      if (!(share <= 1)) {
        bad++;
        if (worst < 0 || !(share <= worstShare)) {
          worst = i;
          worstShare = share;
        }
      }
    }
    if (worst >= 0) {
      Assertions.fail(
          "%s: %d of %d elements differ; the worst, [%d], is %s here and %s in libtorch: %.3g times"
              + " what relative %s and absolute %s of the largest (%.4g) allow",
          what,
          bad,
          ours.length,
          worst,
          ours[worst],
          theirs[worst],
          worstShare,
          relative,
          absolute,
          scale);
    }
  }
}
