package dev.heddle.parity;

import dev.heddle.parallel.context.ContextMethod;
import dev.heddle.parallel.pipeline.ScheduleKind;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.train.config.ModelConfig;
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
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/**
 * Layouts that nobody thought of: two or three components, any sizes of any axes in each, ranks in
 * common or not, any schedule and strategy, stages even or not, sequences divided, packed or
 * padded, samples without pictures, optimizers divided or not, a frozen component, tied words,
 * recomputed blocks, microbatches, clipping. A failure names its seed; {@code -Dheddle.seed=N}
 * repeats just that one, {@code -Dheddle.layouts=N} tries as many as that.
 */
class RandomLayoutParityTest {
  private static final int COUNT = Integer.getInteger("heddle.layouts", 60);
  private static final int MOST_RANKS = 8;
  private static final int HEADS = 4;
  private static final int VISION_BLOCKS = 3;
  private static final int AUDIO_BLOCKS = 2;
  private static final int LANGUAGE_BLOCKS = 5;

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
      single.packed = false;
      single.model =
          model(
              experiment.layout.audio() != null,
              experiment.model.language().tiedEmbeddings(),
              false);
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
    boolean interleaved = random.nextInt(4) == 0;
    Placement vision = placement(random, interleaved, VISION_BLOCKS);
    Placement language = placement(random, interleaved, LANGUAGE_BLOCKS);
    Placement audio = random.nextInt(4) == 0 ? placement(random, false, AUDIO_BLOCKS) : null;
    int last = Math.max(vision.ranks().last(), language.ranks().last());
    ScheduleKind[] others = {
      ScheduleKind.ONE_FORWARD_ONE_BACKWARD, ScheduleKind.GPIPE, ScheduleKind.ZERO_BUBBLE
    };
    experiment.layout =
        new ParallelConfig(
            1 + (audio == null ? last : Math.max(last, audio.ranks().last())),
            interleaved ? ScheduleKind.INTERLEAVED : others[random.nextInt(others.length)],
            Strategy.DIRECT,
            vision,
            audio,
            language);
    experiment.model = model(audio != null, random.nextBoolean(), random.nextInt(3) == 0);
    experiment.packed = random.nextInt(3) == 0;
    Strategy strategy = Strategy.values()[random.nextInt(Strategy.values().length)];
    experiment.strategy = strategy;
    experiment.samples = 3 + random.nextInt(3);
    experiment.microBatches = 1 + random.nextInt(experiment.samples);
    experiment.textOnly =
        IntStream.range(0, experiment.samples).filter(i -> random.nextInt(3) == 0).toArray();
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

  /** Blocks that few numbers of stages divide. */
  private static ModelConfig model(boolean audio, boolean tied, boolean recompute) {
    return new ModelConfig(
        new ModelConfig.Vision(VISION_BLOCKS, 8, HEADS, 4, TinyModel.IMAGE_SIZE, recompute),
        audio ? new ModelConfig.Audio(AUDIO_BLOCKS, 8, HEADS, 2, recompute) : null,
        new ModelConfig.Projector(10),
        new ModelConfig.Language(
            LANGUAGE_BLOCKS, 8, HEADS, 12 + TinyModel.MOST_CLIP_ROWS, tied, recompute));
  }

  private static Placement placement(Random random, boolean interleaved, int blocks) {
    int[] sizes = {1, 1, 1, 1};
    for (int axis = 0; axis < sizes.length; axis++) {
      int most = MOST_RANKS / (sizes[0] * sizes[1] * sizes[2] * sizes[3]);
      // Three axes of four are 1 on average, or none would ever be 4.
      sizes[axis] = random.nextBoolean() ? 1 : 1 + random.nextInt(Math.min(4, most));
    }
    int tp = sizes[0];
    int cp = sizes[1];
    int pp = Math.min(sizes[2], blocks);
    int dp = sizes[3];
    int ranks = tp * cp * pp * dp;
    int chunks = interleaved ? 1 + random.nextInt(blocks / pp) : 1;
    List<Integer> all = new ArrayList<>();
    for (int rank = 0; rank < MOST_RANKS; rank++) {
      all.add(rank);
    }
    Collections.shuffle(all, random);
    List<Integer> chosen = new ArrayList<>(all.subList(0, ranks));
    Collections.sort(chosen);
    ContextMethod method = ContextMethod.values()[random.nextInt(ContextMethod.values().length)];
    boolean enoughHeads = HEADS / tp >= cp;
    Division division =
        new Division(
            enoughHeads ? method : ContextMethod.RING,
            random.nextBoolean(),
            random.nextBoolean() ? List.of() : stageLayers(random, pp * chunks, blocks),
            chunks,
            random.nextBoolean());
    return new Placement(new RankSet(chosen), tp, cp, pp, dp, division);
  }

  /** Blocks thrown onto stages, at least one on each. */
  private static List<Integer> stageLayers(Random random, int stages, int blocks) {
    List<Integer> layers = new ArrayList<>(Collections.nCopies(stages, 1));
    for (int left = blocks - stages; left > 0; left--) {
      int stage = random.nextInt(stages);
      layers.set(stage, layers.get(stage) + 1);
    }
    return layers;
  }
}
