package dev.heddle.jmh.bench;

import dev.heddle.jmh.boundary.BoundaryCase;
import dev.heddle.jmh.boundary.Direction;
import dev.heddle.jmh.boundary.HostMemory;
import dev.heddle.jmh.boundary.LayoutPair;
import dev.heddle.jmh.boundary.Reach;
import dev.heddle.jmh.boundary.RowSize;
import dev.heddle.jmh.boundary.Volume;
import dev.heddle.parallel.redistribute.Strategy;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Boundaries between ranks of one JVM, F32, there and back. The strategy {@code direct} stands
 * beside plain copies: each rank writes the bytes of its result, rows and the zeros where none
 * belongs, in one run and at the same time as the others, and meets them. Where rows are copied in
 * and out, {@code direct} stands a second time beside plain copies, whose bytes come from the ranks
 * that they come from in the crossing. The other strategies stand beside {@code direct}.
 */
final class BoundaryRows {
  private static final List<Strategy> ALL = List.of(Strategy.values());
  private static final List<Strategy> DIRECT = List.of(Strategy.DIRECT);
  private static final int WARM_UP = 40;

  /** The other side where bytes come from the rank that a crossing has them from. */
  static final String BETWEEN_RANKS = "plain copy between ranks";

  // A case is repeated, that many turns at a time, until it gets no faster.
  private static final int SETTLING_TURNS = 3;
  private static final int SETTLING_WINDOW = 3;
  private static final int MOST_SETTLING = 12;

  private final BenchOptions options;

  BoundaryRows(BenchOptions options) {
    this.options = options;
  }

  List<Row> measure() {
    List<BoundaryCase> cases =
        (options.quick() ? quick() : whole())
            .stream().filter(one -> options.wants("boundary " + one.label())).toList();
    // Little work, much of the code: so that the first case is compiled as the last one is.
    for (LayoutPair pair : cases.stream().map(BoundaryCase::pair).distinct().toList()) {
      new BoundaryCase(pair, RowSize.SMALL, ALL, Reach.THREADS, HostMemory.POOLED).measure(WARM_UP);
    }
    List<Row> rows = new ArrayList<>();
    for (BoundaryCase one : cases) {
      if (one.memory().isAvailable()) {
        rows.addAll(rows(one));
      } else {
        options.say("  boundary " + one.label() + ": left out, there is no CUDA driver and GPU");
      }
    }
    return rows;
  }

  /** What a change of the exchange is looked at with. */
  static List<BoundaryCase> quick() {
    List<BoundaryCase> cases = new ArrayList<>();
    for (LayoutPair pair :
        List.of(LayoutPair.DP2_TO_TP2, LayoutPair.TP2_TO_DP2, LayoutPair.DP2_TO_CP2_ZIGZAG)) {
      cases.add(new BoundaryCase(pair, RowSize.USUAL, ALL, Reach.THREADS, HostMemory.POOLED));
      cases.add(new BoundaryCase(pair, RowSize.ODD, DIRECT, Reach.THREADS, HostMemory.POOLED));
    }
    return cases;
  }

  /** Every layout pair, size, strategy, reach and memory, though not each with each. */
  static List<BoundaryCase> whole() {
    List<BoundaryCase> cases = new ArrayList<>();
    for (LayoutPair pair : LayoutPair.values()) {
      for (RowSize size : List.of(RowSize.SMALL, RowSize.ODD, RowSize.USUAL, RowSize.LARGE)) {
        cases.add(new BoundaryCase(pair, size, ALL, Reach.THREADS, HostMemory.POOLED));
      }
      for (RowSize size : List.of(RowSize.ODD, RowSize.USUAL)) {
        cases.add(new BoundaryCase(pair, size, DIRECT, Reach.STAGED, HostMemory.POOLED));
        for (HostMemory memory : HostMemory.values()) {
          if (memory != HostMemory.POOLED) {
            cases.add(new BoundaryCase(pair, size, DIRECT, Reach.THREADS, memory));
          }
        }
      }
    }
    return cases;
  }

  private List<Row> rows(BoundaryCase one) {
    List<Row> rows = new ArrayList<>();
    settle(one);
    Map<Direction, BoundaryCase.Times> times = one.measure(options.rounds());
    times.forEach(
        (direction, of) ->
            of.crossing()
                .forEach(
                    (strategy, micros) -> {
                      boolean isDirect = strategy == Strategy.DIRECT;
                      Volume volume = Volume.of(direction.of(one.plan(strategy)));
                      rows.add(
                          new Row(
                              name(one, strategy, direction),
                              one.pair().ranks(),
                              "f32",
                              Medians.of(micros),
                              Medians.of(isDirect ? of.copying() : of.of(Strategy.DIRECT)),
                              isDirect ? "plain copy" : "Heddle, strategy direct",
                              "us",
                              isDirect ? target(one) : Double.NaN,
                              volume));
                      if (isDirect && of.between().length > 0) {
                        rows.add(betweenRanks(one, direction, micros, of.between(), volume));
                      }
                    }));
    rows.forEach(row -> options.say("  " + BenchTable.line(row)));
    return rows;
  }

  /**
   * Rows that a rank has just copied in lie in its own core's cache, and take the longer for others
   * the farther their cores are apart: on a virtual machine that changes by the minute, and a plain
   * copy of memory that nobody has written does not show it.
   */
  private static Row betweenRanks(
      BoundaryCase one, Direction direction, double[] crossing, double[] copying, Volume volume) {
    return new Row(
        name(one, Strategy.DIRECT, direction) + ", between ranks",
        one.pair().ranks(),
        "f32",
        Medians.of(crossing),
        Medians.of(copying),
        BETWEEN_RANKS,
        "us",
        Double.NaN,
        volume);
  }

  /**
   * Repeats a case until it gets no faster. While the JIT compiles, its threads take the cores of
   * two ranks in turn, and whoever is measured then waits for a rank that does not run: copies as
   * well as crossings take several times as long.
   */
  private static void settle(BoundaryCase one) {
    Settling settling = new Settling(SETTLING_WINDOW);
    for (int i = 0; i < MOST_SETTLING && !settling.isSettled(); i++) {
      double sum = 0;
      for (BoundaryCase.Times times : one.measure(SETTLING_TURNS).values()) {
        sum += Medians.of(times.copying());
        for (double[] crossing : times.crossing().values()) {
          sum += Medians.of(crossing);
        }
      }
      settling.add(sum);
    }
  }

  private static String name(BoundaryCase one, Strategy strategy, Direction direction) {
    String how = strategy == Strategy.DIRECT ? "" : " " + strategy.label();
    return "boundary " + one.label() + how + ", " + direction.label();
  }

  /** Set for what threads with a core each move, where it is more than a meeting costs. */
  private static double target(BoundaryCase one) {
    boolean coreEach = one.pair().ranks() <= Runtime.getRuntime().availableProcessors();
    boolean set = coreEach && one.reach() == Reach.THREADS && !one.size().equals(RowSize.SMALL);
    return set ? Targets.BOUNDARY : Double.NaN;
  }
}
