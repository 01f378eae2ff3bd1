package dev.heddle.jmh.bench;

import dev.heddle.jmh.CommunicationComparison;
import dev.heddle.parallel.redistribute.Strategy;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Boundaries between two ranks of one JVM: 32 samples of 64 rows of 256 numbers, F32. The strategy
 * {@code direct} stands beside a plain copy of as many bytes as arrive at the rank that receives
 * most, the other strategies beside {@code direct}.
 */
final class BoundaryRows {
  private static final String COPY = "copy for ";
  private static final int RANKS = 2;

  private final BenchOptions options;

  BoundaryRows(BenchOptions options) {
    this.options = options;
  }

  List<Row> measure() {
    Map<String, double[]> times =
        CommunicationComparison.times(options.rounds(), options.quick() ? 10 : 20);
    List<Row> rows = new ArrayList<>();
    String direct = " " + Strategy.DIRECT.label();
    for (String copy : times.keySet()) {
      if (!copy.startsWith(COPY)) {
        continue;
      }
      String name = copy.substring(COPY.length());
      if (times.containsKey(name + direct)) {
        rows.add(
            row(times, "boundary " + name, name + direct, copy, "plain copy", Targets.BOUNDARY));
        for (Strategy other : Strategy.values()) {
          String timed = name + " " + other.label();
          if (other != Strategy.DIRECT && times.containsKey(timed)) {
            String peer = "Heddle, strategy direct";
            rows.add(row(times, "boundary " + timed, timed, name + direct, peer, Double.NaN));
          }
        }
      }
    }
    rows.forEach(row -> options.say("  " + BenchTable.line(row)));
    return rows;
  }

  private static Row row(
      Map<String, double[]> times,
      String name,
      String ours,
      String peer,
      String peerName,
      double target) {
    return new Row(
        name,
        RANKS,
        "f32",
        Medians.of(times.getOrDefault(ours, new double[0])),
        Medians.of(times.getOrDefault(peer, new double[0])),
        peerName,
        "us",
        target);
  }
}
