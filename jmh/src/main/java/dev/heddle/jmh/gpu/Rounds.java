package dev.heddle.jmh.gpu;

import java.util.Arrays;

/**
 * How times are taken: several rounds, each of as many operations as fill a while, waiting for the
 * device only before and after a round. The figure is the median round's.
 *
 * @param count rounds
 * @param seconds how long a round should take, at least one operation
 */
record Rounds(int count, double seconds) {
  private static final int MOST = 10_000;

  /**
   * The median time of one {@code operation}, in seconds.
   *
   * @param wait waits until everything that was queued is done
   */
  double time(Runnable wait, Runnable operation) {
    // Kernels are loaded and products searched.
    operation.run();
    return time(wait, operation, repeats(round(wait, operation, 1)));
  }

  /** Times with a number of operations a round that the caller has, all ranks the same. */
  double time(Runnable wait, Runnable operation, int repeats) {
    double[] times = new double[count];
    for (int i = 0; i < count; i++) {
      times[i] = round(wait, operation, repeats);
    }
    return median(times);
  }

  /** How many operations of {@code one} seconds fill a round. */
  int repeats(double one) {
    return (int) Math.clamp(seconds / Math.max(one, 1e-9), 1, MOST);
  }

  /** One round's time of one operation. */
  static double round(Runnable wait, Runnable operation, int repeats) {
    wait.run();
    long start = System.nanoTime();
    for (int i = 0; i < repeats; i++) {
      operation.run();
    }
    wait.run();
    return (System.nanoTime() - start) * 1e-9 / repeats;
  }

  static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
