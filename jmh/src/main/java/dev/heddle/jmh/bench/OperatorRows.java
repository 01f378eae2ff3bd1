package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkedOperator;
import dev.heddle.jmh.LineProcess;
import dev.heddle.jmh.OperatorProtocol.Prints;
import dev.heddle.jmh.OperatorProtocol.Side;
import dev.heddle.jmh.OperatorProtocol.Times;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/**
 * Operators beside libtorch's through JavaCPP, forward and backward apart. Each side is a process
 * and each has the same inputs; value and gradients must agree first. Of the peer's ways to run an
 * operator a row tells the fastest one.
 */
final class OperatorRows {
  private static final String OURS = "dev.heddle.jmh.HeddleOperatorWorker";
  private static final String PEER = "dev.heddle.jmh.JavaCppOperatorWorker";

  /** Sums over a million numbers in F32, in another order. */
  private static final double TOLERANCE = 1e-4;

  private static final int PASSES_BEFORE = 100;

  private final BenchOptions options;
  private final Peers peers;

  OperatorRows(BenchOptions options, Peers peers) {
    this.options = options;
    this.peers = peers;
  }

  List<Row> measure() {
    List<Row> rows = new ArrayList<>();
    if (!peers.hasJavaCpp()) {
      options.say("operators: there is no peer in this build");
      return rows;
    }
    List<Integer> counts = options.threads();
    for (int threads : options.quick() ? counts.subList(0, 1) : counts) {
      rows.addAll(measure(threads));
    }
    return rows;
  }

  private List<Row> measure(int threads) {
    List<Row> rows = new ArrayList<>();
    Map<String, Side> theirs = new LinkedHashMap<>();
    try (Side ours = ours(threads)) {
      for (Peers.Blas blas : peers.blas()) {
        theirs.put(blas.label() + ", flash", peer(blas, threads, "flash"));
        theirs.put(blas.label() + ", composed", peer(blas, threads, "composed"));
      }
      for (BenchmarkedOperator operator : BenchmarkedOperator.values()) {
        if (!operator.name().toLowerCase(Locale.ROOT).contains(options.only())) {
          continue;
        }
        options.orElseSay(
            () -> rows.addAll(compare(operator, threads, ours, waysOf(operator, theirs))));
      }
    } finally {
      theirs.values().forEach(Side::close);
    }
    return rows;
  }

  private Side ours(int threads) {
    return new Side(
        new LineProcess(
            LineProcess.java(OURS, options.ourFlags(), List.of(Integer.toString(threads))),
            Map.of()));
  }

  private Side peer(Peers.Blas blas, int threads, String attention) {
    List<String> arguments = List.of(Integer.toString(threads), attention);
    return new Side(
        new LineProcess(
            LineProcess.java(PEER, peers.javaCppFlags(), arguments),
            peers.environment(blas, threads)));
  }

  /** Attention has two forms; products depend on the library; the rest on neither. */
  private static Map<String, Side> waysOf(BenchmarkedOperator operator, Map<String, Side> all) {
    boolean attention = operator.name().startsWith("ATTENTION");
    boolean products = attention || operator.name().startsWith("LINEAR");
    Map<String, Side> ways = new LinkedHashMap<>();
    all.forEach(
        (name, side) -> {
          if ((attention || name.endsWith("flash")) && (products || ways.isEmpty())) {
            ways.put(attention ? name : name.replaceAll(",.*", ""), side);
          }
        });
    return ways;
  }

  private List<Row> compare(
      BenchmarkedOperator operator, int threads, Side ours, Map<String, Side> ways) {
    Prints right = ours.prepare(operator);
    ways.forEach((name, side) -> sameResult(operator, right, name, side.prepare(operator)));
    Map<Side, Integer> counts = new HashMap<>();
    List<Side> sides = new ArrayList<>(ways.values());
    sides.add(0, ours);
    for (Side side : sides) {
      counts.put(side, Settling.warmUp(options.quick(), side::turn));
    }
    Map<Side, List<Times>> turns = new HashMap<>();
    List<Double> passes = new ArrayList<>();
    if (operator.isUpdate()) {
      // Compiled before it is timed.
      ours.pass(PASSES_BEFORE);
    }
    for (int round = 0; round < options.rounds(); round++) {
      for (int i = 0; i < sides.size(); i++) {
        Side side = sides.get((i + round) % sides.size());
        turns
            .computeIfAbsent(side, key -> new ArrayList<>())
            .add(side.turn(counts.getOrDefault(side, 1)));
      }
      if (operator.isUpdate()) {
        passes.add(ours.pass(counts.getOrDefault(ours, 1)).forward());
      }
    }
    List<Row> rows = new ArrayList<>();
    if (operator.repeats() > 1) {
      rows.add(
          row(
              "dispatch: add of one element",
              Targets.DISPATCH,
              threads,
              ours,
              ways,
              turns,
              Times::forward));
    } else if (operator.isUpdate()) {
      String name = operator.name().toLowerCase(Locale.ROOT).replace('_', ' ');
      Row update = row(name, Targets.ADAMW, threads, ours, ways, turns, Times::forward);
      rows.add(update);
      rows.addAll(besideMemory(update, Medians.of(passes) * 1e-3));
    } else {
      String name = operator.name().toLowerCase(Locale.ROOT).replaceAll("_(?=[0-9o])", " ");
      double target = Targets.operator(operator);
      rows.add(row(name + " forward", target, threads, ours, ways, turns, Times::forward));
      rows.add(row(name + " backward", target, threads, ours, ways, turns, Times::backward));
    }
    rows.forEach(row -> options.say("  " + BenchTable.line(row)));
    return rows;
  }

  /**
   * A plain pass that reads and writes as many bytes as an update, of F32 numbers 16 and 12 a
   * parameter, beside either side's update: how much of the memory's speed each comes to.
   */
  private static List<Row> besideMemory(Row update, double micros) {
    String name = "memory pass of as many bytes";
    return List.of(
        memoryRow(name + ", beside ours", update, micros, update.ours(), "Heddle's update"),
        memoryRow(name + ", beside the peer's", update, micros, update.peer(), update.peerName()));
  }

  private static Row memoryRow(String name, Row update, double pass, double step, String stepName) {
    return new Row(name, update.threads(), "f32", pass, step, stepName, "us", Double.NaN);
  }

  private void sameResult(BenchmarkedOperator operator, Prints right, String name, Prints theirs) {
    double difference = right.difference(theirs);
    if (!(difference <= TOLERANCE)) {
      throw new IllegalStateException(
          "heddle bench: "
              + operator
              + " with "
              + name
              + " differs from ours by "
              + difference
              + " of the magnitude; the two do not compute the same thing, so their times cannot"
              + " be compared");
    }
  }

  private Row row(
      String name,
      double target,
      int threads,
      Side ours,
      Map<String, Side> ways,
      Map<Side, List<Times>> turns,
      ToDoubleFunction<Times> measure) {
    String best = "";
    double least = Double.POSITIVE_INFINITY;
    for (Map.Entry<String, Side> way : ways.entrySet()) {
      double median = median(turns, way.getValue(), measure);
      if (median < least) {
        least = median;
        best = way.getKey();
      }
    }
    return new Row(
        name,
        threads,
        "f32",
        median(turns, ours, measure) * 1e-3,
        least * 1e-3,
        peers.javaCppName() + ", " + best,
        "us",
        target);
  }

  private static double median(
      Map<Side, List<Times>> turns, Side side, ToDoubleFunction<Times> measure) {
    return Medians.of(turns.getOrDefault(side, List.of()).stream().mapToDouble(measure).toArray());
  }
}
