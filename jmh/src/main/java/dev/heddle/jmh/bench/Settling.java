package dev.heddle.jmh.bench;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Whether something that is run again and again has come to its speed: a JVM goes on compiling for
 * a while, and on a busy machine that while is long. It has when the best of the newest runs is
 * hardly better than the best of those before.
 */
final class Settling {
  /** What counts as better. */
  private static final double BETTER = 0.97;

  private final int window;
  private final Deque<Double> newest = new ArrayDeque<>();
  private double bestBefore = Double.POSITIVE_INFINITY;

  /**
   * Nothing run yet.
   *
   * @param window how many runs are looked at as the newest
   */
  Settling(int window) {
    this.window = window;
  }

  /** Takes how long a run took. */
  void add(double time) {
    newest.addLast(time);
    if (newest.size() > window) {
      bestBefore = Math.min(bestBefore, newest.removeFirst());
    }
  }

  boolean isSettled() {
    double best = newest.stream().mapToDouble(Double::doubleValue).min().orElse(0);
    return Double.isFinite(bestBefore) && best > BETTER * bestBefore;
  }
}
