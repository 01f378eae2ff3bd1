package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;

import dev.heddle.runtime.machine.RowLoop;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/**
 * The first pass of a norm's backward where all gradients are wanted: what a row adds to the
 * parameters' gradients and the two means that its own gradient needs, from one reading of it. Two
 * rows go together, so that weight and sums are loaded and stored for both; a row alone gives the
 * same bits as one in a pair.
 */
final class NormGradients {
  private NormGradients() {}

  /**
   * For two rows, with d = x - center, n = d scale, g = dy weight: dw += dy n, db += dy, and for
   * each row Σ g and Σ g d.
   *
   * @param x address of the first row; the second follows after {@code rowBytes}
   * @param dy address of its gradient; likewise
   * @param to where Σ g and Σ g d of the first row go, then those of the second
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
    addRest(x + rowBytes, dy + rowBytes, center1, scale1, weight, dw, db, to + 8, n);
  }

  /** Whether machine code does pairs of rows: where there is any, rows of whole vectors. */
  static boolean addsPairs(@Nullable RowLoop code, int columns) {
    return code != null && columns % LENGTH == 0;
  }

  /**
   * {@link #addPair} for all pairs of some rows by machine code, F32 or bf16, with the same bits.
   *
   * @param code {@link MachineRows#normGradients}; null where there is none
   * @param rows an odd last one is left
   * @param x address of the first row; the others follow {@code rowBytes} after each other
   * @param dy address of its gradient; likewise
   * @param means of the rows, F32; 0 where nothing is subtracted
   * @param rstds what each row's differences are multiplied by, F32
   * @param to where Σ g and Σ g d of the first row go, then those of the others
   * @return how many rows were done: none unless {@link #addsPairs}
   */
  static long addPairs(
      @Nullable RowLoop code,
      long rows,
      long x,
      long dy,
      long rowBytes,
      long means,
      long rstds,
      long weight,
      long dw,
      long db,
      long to,
      int columns) {
    if (code == null || !addsPairs(code, columns)) {
      return 0;
    }
    RowLoop.Call call = RowLoop.call();
    call.length(columns);
    for (int i = 0; i < 2; i++) {
      call.array(i, x + i * rowBytes, 2 * rowBytes);
      call.array(2 + i, dy + i * rowBytes, 2 * rowBytes);
      if (means == 0) {
        call.scalar(2 * i, 0f);
      } else {
        call.scalar(2 * i, means + 4L * i, 8);
      }
      call.scalar(2 * i + 1, rstds + 4L * i, 8);
      call.result(2 * i, to + 8L * i, 16);
      call.result(2 * i + 1, to + 8L * i + 4, 16);
    }
    call.array(4, weight, 0);
    call.array(5, dw, 0);
    call.array(6, db, 0);
    call.run(code, rows / 2);
    return rows / 2 * 2;
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
      FloatVector d0 = load(x0 + at).sub(c0);
      FloatVector d1 = load(x1 + at).sub(c1);
      FloatVector y0 = load(dy0 + at);
      FloatVector y1 = load(dy1 + at);
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
    Lanes.set(to, Lanes.sum(sum0));
    Lanes.set(to + 4, Lanes.sum(dot0));
    Lanes.set(to + 8, Lanes.sum(sum1));
    Lanes.set(to + 12, Lanes.sum(dot1));
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
    FloatVector c = Lanes.broadcast(center);
    FloatVector s = Lanes.broadcast(scale);
    FloatVector sum = Lanes.zero();
    FloatVector dot = sum;
    for (int i = 0; i < n; i += LENGTH) {
      long at = 4L * i;
      FloatVector d = load(x + at).sub(c);
      FloatVector y = load(dy + at);
      store(d.mul(s).fma(y, load(dw + at)), dw + at);
      store(y.add(load(db + at)), db + at);
      FloatVector g = y.mul(load(w + at));
      sum = sum.add(g);
      dot = d.fma(g, dot);
    }
    Lanes.set(to, Lanes.sum(sum));
    Lanes.set(to + 4, Lanes.sum(dot));
  }

  /** The columns behind the last whole vector. */
  private static void addRest(
      long x, long dy, float center, float scale, long weight, long dw, long db, long to, int n) {
    int bound = n & -LENGTH;
    if (bound == n) {
      return;
    }
    float sum = Lanes.get(to);
    float dot = Lanes.get(to + 4);
    for (int i = bound; i < n; i++) {
      long at = 4L * i;
      float d = Lanes.get(x + at) - center;
      float y = Lanes.get(dy + at);
      Lanes.set(dw + at, Math.fma(d * scale, y, Lanes.get(dw + at)));
      Lanes.set(db + at, y + Lanes.get(db + at));
      float g = y * Lanes.get(weight + at);
      sum += g;
      dot = Math.fma(d, g, dot);
    }
    Lanes.set(to, sum);
    Lanes.set(to + 4, dot);
  }
}
