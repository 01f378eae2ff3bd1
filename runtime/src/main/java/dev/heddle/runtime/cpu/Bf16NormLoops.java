package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.BYTES;
import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import jdk.incubator.vector.FloatVector;

/**
 * The loops of norms over a bf16 row at a time, or two, converted in registers; parameters and sums
 * are F32. Columns behind the last whole vector go one by one.
 */
final class Bf16NormLoops {
  private static final int HALF_BYTES = BYTES / 2;

  private Bf16NormLoops() {}

  static float sum(long start, int n) {
    long x = address(start);
    FloatVector s0 = Lanes.zero();
    FloatVector s1 = s0;
    int i = 0;
    for (; i <= n - 2 * LENGTH; i += 2 * LENGTH) {
      s0 = s0.add(Bf16Conversion.load(x + 2L * i));
      s1 = s1.add(Bf16Conversion.load(x + 2L * i + HALF_BYTES));
    }
    float rest = 0;
    for (; i < n; i++) {
      rest += Bf16Conversion.get(x + 2L * i);
    }
    return Lanes.sumByHalves(s0.add(s1)) + rest;
  }

  /** Σ (x - center)². */
  static float sumOfSquares(long start, float center, int n) {
    long x = address(start);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s0 = Lanes.zero();
    FloatVector s1 = s0;
    int i = 0;
    for (; i <= n - 2 * LENGTH; i += 2 * LENGTH) {
      FloatVector d0 = Bf16Conversion.load(x + 2L * i).sub(c);
      FloatVector d1 = Bf16Conversion.load(x + 2L * i + HALF_BYTES).sub(c);
      s0 = d0.fma(d0, s0);
      s1 = d1.fma(d1, s1);
    }
    float rest = 0;
    for (; i < n; i++) {
      float d = Bf16Conversion.get(x + 2L * i) - center;
      rest = Math.fma(d, d, rest);
    }
    return Lanes.sumByHalves(s0.add(s1)) + rest;
  }

  /** y = (x - center) scale weight. */
  static void normalize(
      long xStart, float center, float scale, long weightStart, long yStart, int n) {
    long x = address(xStart);
    long y = address(yStart);
    long w = address(weightStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      FloatVector normalized = Bf16Conversion.load(x + 2L * i).sub(c).mul(s);
      Bf16Conversion.storeResult(normalized.mul(load(w + 4L * i)), y + 2L * i);
    }
    for (int i = bound; i < n; i++) {
      float normalized = (Bf16Conversion.get(x + 2L * i) - center) * scale;
      Bf16Conversion.set(y + 2L * i, normalized * Lanes.get(w + 4L * i));
    }
  }

  /** y = (x - center) scale weight + bias. */
  static void normalize(
      long xStart,
      float center,
      float scale,
      long weightStart,
      long biasStart,
      long yStart,
      int n) {
    long x = address(xStart);
    long y = address(yStart);
    long w = address(weightStart);
    long b = address(biasStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      FloatVector normalized = Bf16Conversion.load(x + 2L * i).sub(c).mul(s);
      FloatVector shifted = normalized.fma(load(w + 4L * i), load(b + 4L * i));
      Bf16Conversion.storeResult(shifted, y + 2L * i);
    }
    for (int i = bound; i < n; i++) {
      float normalized = (Bf16Conversion.get(x + 2L * i) - center) * scale;
      float shifted = Math.fma(normalized, Lanes.get(w + 4L * i), Lanes.get(b + 4L * i));
      Bf16Conversion.set(y + 2L * i, shifted);
    }
  }

  /**
   * For two rows, with d = x - center, n = d scale, g = dy weight: dw += dy n, db += dy, and for
   * each row Σ g and Σ g d, by lanes: their sums are left to {@link #addLanes}, because what is
   * here already is all that the compiler inlines.
   *
   * @param x address of the first row; the second follows after {@code rowBytes}
   * @param dy address of its gradient; likewise
   * @param to where two vectors of the first row go, then those of the second
   */
  static void addPair(
      long x,
      long dy,
      long rowBytes,
      float center0,
      float scale0,
      float center1,
      float scale1,
      long weight,
      long dw,
      long db,
      long to,
      int n) {
    addVectorsOfPair(
        x, dy, rowBytes, center0, scale0, center1, scale1, weight, dw, db, to, n & -LENGTH);
    addRest(x, dy, center0, scale0, weight, dw, db, to, n);
    addRest(x + rowBytes, dy + rowBytes, center1, scale1, weight, dw, db, to + 2L * BYTES, n);
  }

  /** {@link #addPair} for one row. */
  static void addRow(
      long x, long dy, float center, float scale, long weight, long dw, long db, long to, int n) {
    addVectors(x, dy, center, scale, weight, dw, db, to, n & -LENGTH);
    addRest(x, dy, center, scale, weight, dw, db, to, n);
  }

  private static void addVectorsOfPair(
      long xStart,
      long dyStart,
      long rowBytes,
      float center0,
      float scale0,
      float center1,
      float scale1,
      long weightStart,
      long dwStart,
      long dbStart,
      long to,
      int n) {
    long x0 = address(xStart);
    long x1 = address(xStart + rowBytes);
    long dy0 = address(dyStart);
    long dy1 = address(dyStart + rowBytes);
    long w = address(weightStart);
    long dw = address(dwStart);
    long db = address(dbStart);
    long sums = address(to);
    FloatVector c0 = Lanes.broadcast(center0);
    FloatVector c1 = Lanes.broadcast(center1);
    FloatVector s0 = Lanes.broadcast(scale0);
    FloatVector s1 = Lanes.broadcast(scale1);
    FloatVector sum0 = Lanes.zero();
    FloatVector sum1 = sum0;
    FloatVector dot0 = sum0;
    FloatVector dot1 = sum0;
    for (int i = 0; i < n; i += LENGTH) {
      long at = 4L * i;
      long half = 2L * i;
      FloatVector d0 = Bf16Conversion.load(x0 + half).sub(c0);
      FloatVector d1 = Bf16Conversion.load(x1 + half).sub(c1);
      FloatVector y0 = Bf16Conversion.load(dy0 + half);
      FloatVector y1 = Bf16Conversion.load(dy1 + half);
      store(d1.mul(s1).fma(y1, d0.mul(s0).fma(y0, load(dw + at))), dw + at);
      store(y1.add(y0.add(load(db + at))), db + at);
      FloatVector weight = load(w + at);
      FloatVector g0 = y0.mul(weight);
      FloatVector g1 = y1.mul(weight);
      sum0 = sum0.add(g0);
      sum1 = sum1.add(g1);
      dot0 = d0.fma(g0, dot0);
      dot1 = d1.fma(g1, dot1);
    }
    store(sum0, sums);
    store(dot0, sums + BYTES);
    store(sum1, sums + 2L * BYTES);
    store(dot1, sums + 3L * BYTES);
  }

  private static void addVectors(
      long xStart,
      long dyStart,
      float center,
      float scale,
      long weightStart,
      long dwStart,
      long dbStart,
      long to,
      int n) {
    long x = address(xStart);
    long dy = address(dyStart);
    long w = address(weightStart);
    long dw = address(dwStart);
    long db = address(dbStart);
    long sums = address(to);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    FloatVector sum = Lanes.zero();
    FloatVector dot = sum;
    for (int i = 0; i < n; i += LENGTH) {
      long at = 4L * i;
      long half = 2L * i;
      FloatVector d = Bf16Conversion.load(x + half).sub(c);
      FloatVector y = Bf16Conversion.load(dy + half);
      store(d.mul(s).fma(y, load(dw + at)), dw + at);
      store(y.add(load(db + at)), db + at);
      FloatVector g = y.mul(load(w + at));
      sum = sum.add(g);
      dot = d.fma(g, dot);
    }
    store(sum, sums);
    store(dot, sums + BYTES);
  }

  /** The columns behind the last whole vector. */
  private static void addRest(
      long x, long dy, float center, float scale, long weight, long dw, long db, long to, int n) {
    int bound = n & -LENGTH;
    if (bound == n) {
      return;
    }
    for (int i = bound; i < n; i++) {
      long at = 4L * i;
      long half = 2L * i;
      float d = Bf16Conversion.get(x + half) - center;
      float y = Bf16Conversion.get(dy + half);
      Lanes.set(dw + at, Math.fma(d * scale, y, Lanes.get(dw + at)));
      Lanes.set(db + at, y + Lanes.get(db + at));
      float g = y * Lanes.get(weight + at);
      long lane = to + 4L * (i - bound);
      Lanes.set(lane, Lanes.get(lane) + g);
      Lanes.set(lane + BYTES, Math.fma(d, g, Lanes.get(lane + BYTES)));
    }
  }

  /** Of two vectors at {@code vectors} the sums of their lanes, to two floats. */
  static void addLanes(long vectors, long to) {
    long v = address(vectors);
    Lanes.set(to, Lanes.sumByHalves(load(v)));
    Lanes.set(to + 4, Lanes.sumByHalves(load(v + BYTES)));
  }

  /** dx = scale (g - meanOfG - n meanOfProduct) with g = dy w and n = (x - center) scale. */
  static void writeInputGradient(
      long xStart,
      float center,
      float scale,
      long weightStart,
      long dyStart,
      float meanOfG,
      float meanOfProduct,
      long dxStart,
      int n) {
    long x = address(xStart);
    long w = address(weightStart);
    long dy = address(dyStart);
    long dx = address(dxStart);
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    FloatVector mg = Lanes.broadcast(meanOfG);
    FloatVector mp = Lanes.broadcast(-meanOfProduct);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      FloatVector normalized = Bf16Conversion.load(x + 2L * i).sub(c).mul(s);
      FloatVector g = Bf16Conversion.load(dy + 2L * i).mul(load(w + 4L * i)).sub(mg);
      Bf16Conversion.storeResult(normalized.fma(mp, g).mul(s), dx + 2L * i);
    }
    for (int i = bound; i < n; i++) {
      float normalized = (Bf16Conversion.get(x + 2L * i) - center) * scale;
      float g = Bf16Conversion.get(dy + 2L * i) * Lanes.get(w + 4L * i) - meanOfG;
      Bf16Conversion.set(dx + 2L * i, Math.fma(normalized, -meanOfProduct, g) * scale);
    }
  }
}
