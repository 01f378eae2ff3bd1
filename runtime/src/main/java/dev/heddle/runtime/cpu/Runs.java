package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.BYTES;
import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static jdk.incubator.vector.VectorOperators.GT;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * Reductions of runs of floats. Two accumulators hide most of the latency of an addition (more
 * would be too much code to inline; see {@link VectorMath}); the order of summation depends on the
 * length alone.
 */
final class Runs {
  private Runs() {}

  static float sum(long start, int n) {
    long x = address(start);
    FloatVector s0 = Lanes.zero();
    FloatVector s1 = s0;
    int i = 0;
    for (; i <= n - 2 * LENGTH; i += 2 * LENGTH) {
      s0 = s0.add(load(x + 4L * i));
      s1 = s1.add(load(x + 4L * i + BYTES));
    }
    while (i < n) {
      s0 = s0.add(load(x + 4L * i, Lanes.first(n - i)));
      i += LENGTH;
    }
    return Lanes.sum(s0.add(s1));
  }

  /** Σ (x - center)². */
  static float sumOfSquares(long start, float center, int n) {
    long x = address(start);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s0 = Lanes.zero();
    FloatVector s1 = s0;
    int i = 0;
    for (; i <= n - 2 * LENGTH; i += 2 * LENGTH) {
      FloatVector d0 = load(x + 4L * i).sub(c);
      FloatVector d1 = load(x + 4L * i + BYTES).sub(c);
      s0 = d0.fma(d0, s0);
      s1 = d1.fma(d1, s1);
    }
    while (i < n) {
      VectorMask<Float> rest = Lanes.first(n - i);
      FloatVector d = load(x + 4L * i, rest).sub(c, rest);
      s0 = d.fma(d, s0);
      i += LENGTH;
    }
    return Lanes.sum(s0.add(s1));
  }

  /** Σ x y. */
  static float dot(long xStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    FloatVector s0 = Lanes.zero();
    FloatVector s1 = s0;
    int i = 0;
    for (; i <= n - 2 * LENGTH; i += 2 * LENGTH) {
      long at = 4L * i;
      s0 = load(x + at).fma(load(y + at), s0);
      s1 = load(x + at + BYTES).fma(load(y + at + BYTES), s1);
    }
    while (i < n) {
      VectorMask<Float> rest = Lanes.first(n - i);
      s0 = load(x + 4L * i, rest).fma(load(y + 4L * i, rest), s0);
      i += LENGTH;
    }
    return Lanes.sum(s0.add(s1));
  }

  /** The largest element, NaN ignored; -infinity if there is none. */
  static float max(long start, int n) {
    long x = address(start);
    // Made here: a loop that starts from a constant object makes an object each time around.
    FloatVector m0 = Lanes.broadcast(Float.NEGATIVE_INFINITY);
    FloatVector m1 = m0;
    int i = 0;
    int bound = n - 2 * LENGTH;
    for (; i <= bound; i += 2 * LENGTH) {
      FloatVector v0 = load(x + 4L * i);
      FloatVector v1 = load(x + 4L * i + BYTES);
      m0 = m0.blend(v0, v0.compare(GT, m0));
      m1 = m1.blend(v1, v1.compare(GT, m1));
    }
    for (; i <= n - LENGTH; i += LENGTH) {
      FloatVector v = load(x + 4L * i);
      m0 = m0.blend(v, v.compare(GT, m0));
    }
    if (i < n) {
      VectorMask<Float> rest = Lanes.first(n - i);
      FloatVector v = m1.blend(load(x + 4L * i, rest), rest);
      m0 = m0.blend(v, v.compare(GT, m0));
    }
    return Lanes.max(m0.blend(m1, m1.compare(GT, m0)));
  }

  static boolean hasNaN(long start, int n) {
    for (int i = 0; i < n; i++) {
      if (Float.isNaN(Lanes.get(start + 4L * i))) {
        return true;
      }
    }
    return false;
  }

  /** y = e^(x - shift), each to be at most 1; returns the sum of y. y may be x. */
  static float expAndSum(long x, float shift, long y, int n) {
    int rest = n % LENGTH;
    long end = 4L * (n - rest);
    long from = x;
    long to = y;
    int count = n - rest;
    float sum = 0;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      sum += expAndSumOfVectors(from, shift, to, count);
      if (turns > 1) {
        from = Pad.address();
        Pad.fill(from, x + end, rest, Float.NEGATIVE_INFINITY);
        to = from;
        count = LENGTH;
      }
    }
    Pad.copy(to, y + end, rest);
    return sum;
  }

  private static float expAndSumOfVectors(long xStart, float shift, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    FloatVector offset = Lanes.broadcast(shift);
    FloatVector sum = Lanes.zero();
    for (int i = 0; i < n; i += LENGTH) {
      FloatVector e = VectorMath.expOfNonPositive(load(x + 4L * i).sub(offset));
      store(e, y + 4L * i);
      sum = sum.add(e);
    }
    return Lanes.sum(sum);
  }

  /** Σ e^(x - shift), each to be at most 1. */
  static float sumOfExp(long x, float shift, int n) {
    int rest = n % LENGTH;
    long from = x;
    int count = n - rest;
    float sum = 0;
    for (int turns = rest == 0 ? 1 : 2; turns > 0; turns--) {
      sum += sumOfExpOfVectors(from, shift, count);
      if (turns > 1) {
        from = Pad.address();
        Pad.fill(from, x + 4L * count, rest, Float.NEGATIVE_INFINITY);
        count = LENGTH;
      }
    }
    return sum;
  }

  private static float sumOfExpOfVectors(long xStart, float shift, int n) {
    long x = address(xStart);
    FloatVector offset = Lanes.broadcast(shift);
    FloatVector sum = Lanes.zero();
    for (int i = 0; i < n; i += LENGTH) {
      sum = sum.add(VectorMath.expOfNonPositive(load(x + 4L * i).sub(offset)));
    }
    return Lanes.sum(sum);
  }
}
