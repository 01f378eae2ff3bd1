package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkModel;
import dev.heddle.jmh.CaptionModel;
import dev.heddle.jmh.Precision;
import dev.heddle.jmh.StepModel;
import dev.heddle.jmh.StepProtocol.Cost;
import dev.heddle.jmh.StepWorkerProcess;
import dev.heddle.jmh.StepWorkerProcess.Program;
import dev.heddle.runtime.cpu.CpuBackend;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Whole training steps, forward, backward and AdamW, beside the peers'. Every side trains in a JVM
 * of its own, and they take turns of one step. All must report the same losses first. Of the ways
 * in which libtorch through JavaCPP can run, the one with the fastest trial steps goes on. One
 * thread is timed by the CPU time that it had, which other work on the machine does not lengthen;
 * several by elapsed time.
 */
final class StepRows {
  private static final String OURS = "dev.heddle.jmh.HeddleStepWorker";

  /** Steps whose losses must agree; later ones drift apart with rounding. */
  private static final int COMPARED_LOSSES = 3;

  /** Steps that have to pass without getting faster, and the most that are waited for. */
  private static final int SETTLING_STEPS = 4;

  private static final int MOST_STEPS = 60;

  private final BenchOptions options;
  private final Peers peers;

  /** What was best for the first model; quick runs do not look again. */
  private final Map<String, List<StepPeer>> known = new HashMap<>();

  StepRows(BenchOptions options, Peers peers) {
    this.options = options;
    this.peers = peers;
  }

  /** A side that trains, and what its turns took. */
  private static final class Side implements AutoCloseable {
    final String name;
    final StepPeer way;
    final StepWorkerProcess process;
    final List<Double> losses = new ArrayList<>();
    final List<Double> turns = new ArrayList<>();
    final List<Double> updates = new ArrayList<>();
    private final boolean alone;
    private double fastest = Double.POSITIVE_INFINITY;
    private boolean ready;

    Side(StepPeer way, BenchmarkModel model, int threads, Precision precision) {
      this.way = way;
      this.name = way.name();
      this.alone = threads == 1;
      this.process = new StepWorkerProcess(way.program(), model, threads, precision);
    }

    void warmUp(int steps) {
      for (int i = 0; i < steps; i++) {
        double millis = warmUp();
        if (i > 0) {
          fastest = Math.min(fastest, millis);
        }
      }
    }

    /** One step; what it took, in milliseconds. */
    double warmUp() {
      Cost cost = process.step();
      losses.add(cost.loss());
      return millis(cost);
    }

    void turn() {
      Cost cost = process.step();
      turns.add(millis(cost));
      updates.add(cost.optimizerMillis());
    }

    private double millis(Cost cost) {
      return alone ? cost.cpuMillis() : cost.wallMillis();
    }

    double median() {
      return Medians.of(turns);
    }

    double memory() {
      return process.memory().residentMebibytes();
    }

    @Override
    public void close() {
      process.close();
    }
  }

  List<Row> measure() {
    List<Row> rows = new ArrayList<>();
    for (BenchmarkModel model : options.models()) {
      for (Precision precision : options.precisions()) {
        for (int threads : options.threads()) {
          options.orElseSay(() -> rows.addAll(compare(model, precision, threads)));
        }
      }
    }
    return rows;
  }

  private Side ours(BenchmarkModel model, Precision precision, int threads, String... arguments) {
    List<String> flags = new ArrayList<>(options.ourFlags());
    if (precision == Precision.BF16_PRODUCTS) {
      flags.addFirst("-D" + CpuBackend.BF16_PRODUCTS_PROPERTY + "=true");
    }
    Program program = new Program(OURS, List.of(arguments), flags, Map.of());
    return new Side(new StepPeer("Heddle", program), model, threads, precision);
  }

  /** The JIT needs some steps until all is compiled. */
  private void warmUp(Side ours) {
    ours.process.awaitReady();
    // What runs a few times a step is compiled after some hundred runs.
    int least = options.quick() ? 7 : 40;
    Settling settling = new Settling(SETTLING_STEPS);
    for (int step = 0; step < MOST_STEPS && (step < least || !settling.isSettled()); step++) {
      settling.add(ours.warmUp());
    }
  }

  private List<Row> compare(BenchmarkModel model, Precision precision, int threads) {
    options.say(model.name() + ", " + precision.label() + ", " + threads + " thread(s)");
    List<Side> sides = new ArrayList<>();
    try {
      Side ours = ours(model, precision, threads);
      sides.add(ours);
      List<Side> tried = start(ways(precision, threads), model, precision, threads);
      sides.addAll(tried);
      List<Side> djls =
          options.quick()
              ? List.of()
              : start(StepPeer.djl(peers, model, precision, threads), model, precision, threads);
      sides.addAll(djls);
      warmUp(ours);
      Side best = best(tried);
      Side djl = best(djls);
      sides.removeIf(side -> side != ours);
      if (best != null) {
        known.putIfAbsent(precision + " " + threads, List.of(best.way));
      }
      for (Side peer : Arrays.asList(best, djl)) {
        if (peer != null) {
          sameLosses(model, precision, ours, peer);
          // Both sides have trained for as long.
          peer.warmUp(Math.max(0, ours.losses.size() - peer.losses.size()));
          sides.add(peer);
        }
      }
      takeTurns(sides);
      List<Row> rows = new ArrayList<>();
      List<Side> others =
          sides.stream().skip(1).sorted(Comparator.comparingDouble(Side::median)).toList();
      for (Side peer : others) {
        boolean better = peer == others.getFirst();
        double target = Targets.step(model.name(), precision, threads, peer == djl);
        String name = model.name();
        rows.add(
            row(
                better ? name : name + " beside the other",
                precision,
                threads,
                ours,
                peer,
                target));
      }
      others.stream()
          .min(Comparator.comparingDouble(peer -> Medians.of(peer.updates)))
          .ifPresent(
              peer ->
                  rows.add(
                      new Row(
                          model.name() + " AdamW",
                          threads,
                          precision.label(),
                          Medians.of(ours.updates),
                          Medians.of(peer.updates),
                          peer.name,
                          "ms",
                          Targets.ADAMW)));
      others.stream()
          .min(Comparator.comparingDouble(Side::memory))
          .ifPresent(
              peer ->
                  rows.add(
                      new Row(
                          model.name() + " peak memory",
                          threads,
                          precision.label(),
                          ours.memory(),
                          peer.memory(),
                          peer.name,
                          "MiB",
                          Targets.MEMORY)));
      rows.forEach(row -> options.say("  " + BenchTable.line(row)));
      return rows;
    } finally {
      sides.forEach(Side::close);
    }
  }

  private static Row row(
      String name, Precision precision, int threads, Side ours, Side peer, double target) {
    return new Row(
        name, threads, precision.label(), ours.median(), peer.median(), peer.name, "ms", target);
  }

  private void takeTurns(List<Side> sides) {
    for (int round = 0; round < (options.quick() ? 3 : options.rounds()); round++) {
      // Who goes first changes: the first step after a rest is a little slower.
      for (int i = 0; i < sides.size(); i++) {
        sides.get((i + round) % sides.size()).turn();
      }
    }
  }

  /** All ways to run the stronger peer; of a quick run's later models the one that was best. */
  private List<StepPeer> ways(Precision precision, int threads) {
    List<StepPeer> best = known.get(precision + " " + threads);
    if (best != null && options.quick()) {
      return best;
    }
    List<StepPeer> all = StepPeer.javaCpp(peers, precision, threads);
    // The fused kernel's bf16 backward takes seconds; a quick run does not wait for that.
    return options.quick() && precision == Precision.BF16
        ? all.stream().filter(way -> !way.program().arguments().contains("flash")).toList()
        : all;
  }

  /** Starts them at the same time: most of that is unpacking and drawing weights. */
  private List<Side> start(
      List<StepPeer> ways, BenchmarkModel model, Precision precision, int threads) {
    List<Side> sides = new ArrayList<>();
    try {
      for (StepPeer way : ways) {
        boolean unpacked = Peers.isUnpacked();
        Side side = new Side(way, model, threads, precision);
        sides.add(side);
        if (!unpacked) {
          awaitReady(side);
        }
      }
    } catch (RuntimeException e) {
      sides.forEach(Side::close);
      throw e;
    }
    return sides;
  }

  /** The side with the fastest trial step; the others are ended. */
  private @Nullable Side best(List<Side> all) {
    all.forEach(this::awaitReady);
    for (Side side : all) {
      tryOut(side);
    }
    Side best =
        all.stream()
            .filter(side -> Double.isFinite(side.fastest))
            .min(Comparator.comparingDouble(side -> side.fastest))
            .orElse(null);
    all.stream().filter(side -> side != best).forEach(Side::close);
    return best;
  }

  /** So that no side starts while another is timed. */
  private void awaitReady(Side side) {
    if (side.ready) {
      return;
    }
    try {
      side.process.awaitReady();
      side.ready = true;
    } catch (UncheckedIOException e) {
      options.say("  " + side.name + " does not start here: " + e.getMessage());
    }
  }

  /** A way that the machine cannot go, such as a library for other processors, is passed over. */
  private void tryOut(Side side) {
    if (!side.ready) {
      return;
    }
    try {
      side.warmUp(options.quick() ? COMPARED_LOSSES : COMPARED_LOSSES + 2);
      options.say(String.format(Locale.ROOT, "  %8.1f ms  %s", side.fastest, side.name));
    } catch (UncheckedIOException e) {
      side.fastest = Double.POSITIVE_INFINITY;
      options.say("  " + side.name + " fails here: " + e.getMessage());
    }
  }

  private static void sameLosses(BenchmarkModel model, Precision precision, Side ours, Side peer) {
    for (int step = 0; step < COMPARED_LOSSES; step++) {
      double our = ours.losses.get(step);
      double their = peer.losses.get(step);
      if (!(Math.abs(our - their) <= precision.lossTolerance() * their)) {
        throw new IllegalStateException(
            "heddle bench: "
                + model.name()
                + ", step "
                + (step + 1)
                + ": the loss is "
                + our
                + " here and "
                + their
                + " with "
                + peer.name
                + "; the two do not compute the same thing, so their times cannot be compared");
      }
    }
  }

  /** Two data-parallel ranks of one JVM beside one rank with two threads, same global batch. */
  List<Row> ranksBesideThreads() {
    List<Row> rows = new ArrayList<>();
    for (BenchmarkModel model :
        options.quick() ? options.models().subList(0, 1) : options.models()) {
      options.orElseSay(() -> rows.add(ranksBesideThreads(model)));
    }
    return rows;
  }

  private Row ranksBesideThreads(BenchmarkModel model) {
    options.say(model.name() + ", two ranks beside two threads");
    try (Side ranks = ours(model, Precision.F32, 2, "ranks");
        Side threads = ours(model, Precision.F32, 2)) {
      warmUp(ranks);
      warmUp(threads);
      sameLosses(model, Precision.F32, ranks, threads);
      takeTurns(List.of(ranks, threads));
      Row row =
          new Row(
              model.name() + " in two ranks (dp 2)",
              2,
              Precision.F32.label(),
              ranks.median(),
              threads.median(),
              "Heddle, one rank with two threads",
              "ms",
              Targets.RANKS);
      options.say("  " + BenchTable.line(row));
      return row;
    }
  }

  /** What is measured unless something else is asked for. */
  static List<BenchmarkModel> usualModels() {
    return List.of(StepModel.GPT, StepModel.VIT, CaptionModel.VLM, CaptionModel.VLM_SCORED);
  }
}
