package dev.heddle.jmh.bench;

import java.util.Arrays;
import java.util.List;

/** The median, which a few turns disturbed by other work do not move. */
final class Medians {
  private Medians() {}

  static double of(List<Double> values) {
    return of(values.stream().mapToDouble(Double::doubleValue).toArray());
  }

  static double of(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
