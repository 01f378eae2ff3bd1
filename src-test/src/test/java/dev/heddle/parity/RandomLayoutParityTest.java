package dev.heddle.parity;

import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import dev.heddle.train.model.CaptionModel;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;

/**
 * Layouts that nobody thought of: any sizes of both axes on both sides, ranks in common or not, any
 * strategy, optimizers divided or not, a frozen component, microbatches, padding, clipping. A
 * failure names its seed; {@code -Dheddle.seed=N} repeats just that one.
 */
class RandomLayoutParityTest {
  private static final int COUNT = 40;
  private static final int MOST_RANKS = 7;

  @Test
  void randomLayouts_trainAsOneRankDoes() {
    String one = System.getProperty("heddle.seed");
    Map<String, Outcome> controls = new HashMap<>();
    for (long seed = 0; seed < COUNT; seed++) {
      check(one == null ? seed : Long.parseLong(one), controls);
      if (one != null) {
        return;
      }
    }
  }

  private static void check(long seed, Map<String, Outcome> controls) {
    Experiment experiment = experiment(new Random(seed));
    String what = "-Dheddle.seed=" + seed + ": " + experiment;
    try {
      Experiment single = experiment.onOneRank();
      single.microBatches = 1;
      single.strategy = Strategy.DIRECT;
      Outcome control = controls.computeIfAbsent(single.toString(), key -> single.run());
      Outcome outcome = experiment.run();
      outcome.assertReplicasAgree(what);
      outcome.assertEqualTo(control, 1e-9, what);
    } catch (RuntimeException e) {
      throw new AssertionError(what, e);
    }
  }

  private static Experiment experiment(Random random) {
    Experiment experiment = new Experiment();
    Placement vision = placement(random);
    Placement language = placement(random);
    int ranks = 1 + Math.max(vision.ranks().last(), language.ranks().last());
    experiment.layout = new ParallelConfig(ranks, vision, language);
    experiment.strategy = Strategy.values()[random.nextInt(Strategy.values().length)];
    experiment.samples = 3 + random.nextInt(3);
    experiment.microBatches = 1 + random.nextInt(3);
    experiment.clipNorm = random.nextBoolean() ? 0.3 : Double.POSITIVE_INFINITY;
    experiment.frozen =
        switch (random.nextInt(6)) {
          case 0 -> Set.of(CaptionModel.VISION);
          case 1 -> Set.of(CaptionModel.LANGUAGE);
          default -> Set.of();
        };
    experiment.bucketBytes = 1L << (3 + random.nextInt(16));
    experiment.padded = random.nextInt(3) == 0 ? new int[] {0, 2} : new int[0];
    return experiment.steps(5);
  }

  private static Placement placement(Random random) {
    int tp = 1 + random.nextInt(4);
    int dp = 1 + random.nextInt(4);
    while (tp * dp > MOST_RANKS) {
      dp--;
    }
    List<Integer> all = new ArrayList<>();
    for (int rank = 0; rank < MOST_RANKS; rank++) {
      all.add(rank);
    }
    Collections.shuffle(all, random);
    List<Integer> chosen = new ArrayList<>(all.subList(0, tp * dp));
    Collections.sort(chosen);
    Division usual = Division.USUAL;
    Division division =
        new Division(
            usual.cpMethod(),
            usual.sequenceParallel(),
            usual.stageLayers(),
            usual.chunks(),
            random.nextBoolean());
    return new Placement(new RankSet(chosen), tp, 1, 1, dp, division);
  }
}
