package dev.heddle.jmh;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.ToDoubleFunction;

/**
 * Compares whole training steps (forward, backward, AdamW) with a peer and prints a table of times,
 * ratios and memory. {@code jmh/compare-steps} builds and runs it.
 *
 * <p>Each side trains in a JVM of its own. They take turns, a few steps each, so that whatever else
 * the machine does hits both; a ratio is formed for each pair of turns and the table tells the
 * median. CPU time is told too, with one thread that of this thread ({@code cpu}), else of all
 * threads of the process together ({@code cpus}, waiting at barriers included): it does not count
 * the time in which another process had the core. Both sides must report the same losses, or there
 * is no table.
 */
public final class StepComparison {
  private static final String OURS = "dev.heddle.jmh.HeddleStepWorker";
  private static final String PEER = "dev.heddle.jmh.TorchStepWorker";

  private List<StepModel> models = List.of(StepModel.GPT, StepModel.VIT);
  private List<Integer> threads = List.of(1, 2);
  private int rounds = 8;
  private int stepsARound = 3;
  private int warmUp = 12;
  private double lossTolerance = 0.01;
  private final List<String> oursArguments = new ArrayList<>();

  private StepComparison() {}

  /** Costs of one side in one round. */
  private record Turn(List<StepProtocol.Cost> costs) {
    double median(ToDoubleFunction<StepProtocol.Cost> measure) {
      return StepComparison.median(costs.stream().mapToDouble(measure).toArray());
    }
  }

  /** See {@link #usage()}. */
  public static void main(String[] arguments) {
    StepComparison comparison = new StepComparison();
    if (!comparison.read(arguments)) {
      System.err.print(usage());
      System.exit(2);
    }
    try {
      Class.forName(PEER, false, StepComparison.class.getClassLoader());
    } catch (ClassNotFoundException e) {
      System.err.println(
          "StepComparison: the peer is not in this build; run jmh/compare-steps, or build with"
              + " mvn -P peers -pl jmh -am package -DskipTests");
      System.exit(2);
    }
    comparison.run();
  }

  private static String usage() {
    return """
        usage: jmh/compare-steps [--models gpt,vit,tiny] [--threads 1,2] [--rounds 8] [--steps 3]
                                 [--warm-up 12] [--ours -Dname=value ...]
          --models   which training steps
          --threads  threads of each side, several to try in turn
          --rounds   turns that each side takes
          --steps    steps in a turn
          --warm-up  steps of each side before the first turn: the JIT's compilation
          --ours     a flag for our JVM, such as -Dheddle.onednn=off; may be repeated
        """;
  }

  private boolean read(String[] arguments) {
    for (int i = 0; i + 1 < arguments.length; i += 2) {
      String value = arguments[i + 1];
      switch (arguments[i]) {
        case "--models" -> models = Arrays.stream(value.split(",")).map(StepModel::named).toList();
        case "--threads" ->
            threads = Arrays.stream(value.split(",")).map(Integer::valueOf).toList();
        case "--rounds" -> rounds = Integer.parseInt(value);
        case "--steps" -> stepsARound = Integer.parseInt(value);
        case "--warm-up" -> warmUp = Integer.parseInt(value);
        case "--ours" -> oursArguments.add(value);
        default -> {
          return false;
        }
      }
    }
    return arguments.length % 2 == 0;
  }

  private void run() {
    List<String> table = new ArrayList<>();
    table.add(
        String.format(
            "%-5s %3s %-5s | %9s %9s %9s | %9s %9s %9s | %8s %8s",
            "model",
            "thr",
            "clock",
            "ours med",
            "peer med",
            "ratio",
            "ours best",
            "peer best",
            "ratio",
            "pair med",
            "pair min"));
    for (StepModel model : models) {
      for (int count : threads) {
        table.addAll(compare(model, count));
      }
    }
    System.out.println();
    System.out.println(
        "Training step: forward, backward, AdamW. Times in ms; ratio = ours / peer, below 1 is"
            + " faster than the peer.");
    System.out.println(
        rounds
            + " rounds of "
            + stepsARound
            + " steps a side in turns; \"pair\" = ratio of the"
            + " medians of one round's two turns.");
    table.forEach(System.out::println);
  }

  private List<String> compare(StepModel model, int count) {
    try (StepWorkerProcess ours = new StepWorkerProcess(OURS, model, count, oursArguments);
        StepWorkerProcess peer = new StepWorkerProcess(PEER, model, count, List.of())) {
      System.out.println(model.name() + ", " + count + " thread(s):");
      System.out.println("  ours: " + ours.about());
      System.out.println("  peer: " + peer.about());
      for (int i = 0; i < warmUp; i++) {
        sameLoss(model, i, ours.step(), peer.step());
      }
      List<Turn> ourTurns = new ArrayList<>();
      List<Turn> peerTurns = new ArrayList<>();
      for (int round = 0; round < rounds; round++) {
        // Who goes first changes: the first step after a rest is a little slower.
        if (round % 2 == 0) {
          ourTurns.add(turn(ours));
          peerTurns.add(turn(peer));
        } else {
          peerTurns.add(turn(peer));
          ourTurns.add(turn(ours));
        }
        System.out.printf(
            Locale.ROOT,
            "  round %d: ours %.1f ms, peer %.1f ms%n",
            round + 1,
            ourTurns.getLast().median(StepProtocol.Cost::wallMillis),
            peerTurns.getLast().median(StepProtocol.Cost::wallMillis));
      }
      List<String> rows = new ArrayList<>();
      rows.add(row(model, count, "wall", StepProtocol.Cost::wallMillis, ourTurns, peerTurns));
      rows.add(
          count == 1
              ? row(model, count, "cpu", StepProtocol.Cost::cpuMillis, ourTurns, peerTurns)
              : row(model, count, "cpus", StepProtocol.Cost::processMillis, ourTurns, peerTurns));
      StepProtocol.Memory ourMemory = ours.memory();
      StepProtocol.Memory peerMemory = peer.memory();
      rows.add(
          String.format(
              Locale.ROOT,
              "%-5s %3d memory: peak resident ours %.0f MiB, peer %.0f MiB, ratio %.2f; our pool's"
                  + " peak %.0f MiB",
              model.name(),
              count,
              ourMemory.residentMebibytes(),
              peerMemory.residentMebibytes(),
              ourMemory.residentMebibytes() / peerMemory.residentMebibytes(),
              ourMemory.poolMebibytes()));
      return rows;
    }
  }

  private Turn turn(StepWorkerProcess side) {
    List<StepProtocol.Cost> costs = new ArrayList<>();
    for (int i = 0; i < stepsARound; i++) {
      costs.add(side.step());
    }
    return new Turn(costs);
  }

  private void sameLoss(StepModel model, int step, StepProtocol.Cost ours, StepProtocol.Cost peer) {
    // Later losses of such a short run drift apart with rounding; the first tell a wrong model.
    if (step < 3 && !(Math.abs(ours.loss() - peer.loss()) <= lossTolerance * peer.loss())) {
      throw new IllegalStateException(
          "StepComparison: "
              + model.name()
              + ", step "
              + (step + 1)
              + ": the loss is "
              + ours.loss()
              + " here and "
              + peer.loss()
              + " in the peer; the two sides do not"
              + " compute the same thing, so their times cannot be compared");
    }
  }

  private static String row(
      StepModel model,
      int count,
      String clock,
      ToDoubleFunction<StepProtocol.Cost> measure,
      List<Turn> ours,
      List<Turn> peer) {
    double[] pairs = new double[ours.size()];
    for (int i = 0; i < pairs.length; i++) {
      pairs[i] = ours.get(i).median(measure) / peer.get(i).median(measure);
    }
    double[] our = all(ours, measure);
    double[] their = all(peer, measure);
    double ourBest = Arrays.stream(our).min().orElseThrow();
    double theirBest = Arrays.stream(their).min().orElseThrow();
    return String.format(
        Locale.ROOT,
        "%-5s %3d %-5s | %9.1f %9.1f %9.3f | %9.1f %9.1f %9.3f | %8.3f %8.3f",
        model.name(),
        count,
        clock,
        median(our),
        median(their),
        median(our) / median(their),
        ourBest,
        theirBest,
        ourBest / theirBest,
        median(pairs),
        Arrays.stream(pairs).min().orElseThrow());
  }

  private static double[] all(List<Turn> turns, ToDoubleFunction<StepProtocol.Cost> measure) {
    return turns.stream().flatMap(turn -> turn.costs().stream()).mapToDouble(measure).toArray();
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }
}
