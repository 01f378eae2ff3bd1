package dev.heddle.jmh.bench;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * Whether something that is run again and again has come to its speed: a JVM goes on compiling for
 * a while, and on a busy machine that while is long. It has when the best of the newest runs is
 * hardly better than the best of those before.
 */
final class Settling {
  /** Turns that have to pass without its getting faster. */
  private static final int TURNS = 20;

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

  /** Does something so many times. */
  @FunctionalInterface
  interface Turn {
    void run(int count);
  }

  /**
   * Runs until it gets no faster: what the JIT has not compiled yet takes many times as long.
   *
   * @return how many runs fill a turn of some 20 ms, 60 if not {@code quick}
   */
  static int warmUp(boolean quick, Turn side) {
    long least = (quick ? 300L : 1500L) * 1_000_000;
    long most = (quick ? 5_000L : 15_000L) * 1_000_000;
    long turn = (quick ? 20L : 60L) * 1_000_000;
    Settling settling = new Settling(TURNS);
    long start = System.nanoTime();
    int count = 1;
    while (true) {
      long before = System.nanoTime();
      side.run(count);
      long now = System.nanoTime();
      settling.add((double) (now - before) / count);
      if (now - start > most || now - start > least && settling.isSettled()) {
        return (int) Math.clamp(count * turn / Math.max(1, now - before), 1, 1000);
      }
      if (now - before < turn) {
        count = Math.min(2 * count, 1000);
      }
    }
  }
}
