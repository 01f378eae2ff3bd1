package dev.heddle.parity;

import dev.heddle.parallel.context.ContextMethod;
import dev.heddle.parallel.data.GradientReduction;
import dev.heddle.parallel.pipeline.ScheduleKind;
import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Division;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import dev.heddle.train.model.CaptionModel;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.IntStream;

/**
 * A configuration that nobody thought of, a function of its seed: one to three components with any
 * axes anywhere, under any schedule, with everything that may be switched on or off.
 *
 * @param layout the placements and the schedule
 * @param strategy how rows cross boundaries
 * @param steps how many steps are trained
 * @param samples samples of a step
 * @param microBatches how many microbatches these are cut into, at most as many
 * @param packed whether sequences are packed
 * @param tied whether the language model's word vectors are its head's
 * @param recompute whether blocks are computed again in backward
 * @param textOnly samples without a picture
 * @param padded samples without a valid target
 * @param frozen components that are not trained
 * @param clipNorm the norm that gradients are clipped to
 * @param rates learning rates of components that have their own
 * @param bucketBytes the size of a bucket of gradients
 * @param alone whether the language model is the only component, on its ranks; the others idle
 */
record RandomCase(
    ParallelConfig layout,
    Strategy strategy,
    int steps,
    int samples,
    int microBatches,
    boolean packed,
    boolean tied,
    boolean recompute,
    List<Integer> textOnly,
    List<Integer> padded,
    Set<String> frozen,
    double clipNorm,
    Map<String, Double> rates,
    long bucketBytes,
    boolean alone) {
  private static final int STEPS = 6;
  private static final int HEADS = 4;
  private static final int VISION_LAYERS = 4;
  private static final int AUDIO_LAYERS = 4;
  private static final int LANGUAGE_LAYERS = 5;

  /** More threads than this say nothing new and wait for one another. */
  private static final int MOST_RANKS = 8;

  /** The case of a seed. */
  static RandomCase of(long seed) {
    Random random = new Random(seed);
    // Neighbouring seeds begin alike.
    random.nextLong();
    boolean hearing = random.nextInt(3) == 0;
    ScheduleKind schedule = any(random, ScheduleKind.values());
    int microBatches = 1 + random.nextInt(8);
    int samples = Math.max(3, microBatches + random.nextInt(3));
    List<Integer> ids = IntStream.range(0, samples).boxed().toList();
    boolean someTextOnly = random.nextInt(3) == 0;
    boolean somePadded = random.nextInt(3) == 0;
    return new RandomCase(
        layout(random, hearing, schedule),
        any(random, Strategy.values()),
        STEPS,
        samples,
        microBatches,
        random.nextInt(3) == 0,
        random.nextInt(3) == 0,
        random.nextInt(3) == 0,
        ids.stream().filter(id -> someTextOnly && random.nextBoolean()).toList(),
        ids.stream().filter(id -> somePadded && id > 0 && random.nextInt(3) == 0).toList(),
        frozen(random, hearing),
        random.nextBoolean() ? 0.3 : Double.POSITIVE_INFINITY,
        random.nextInt(4) == 0 ? Map.of(CaptionModel.VISION, 1e-3) : Map.of(),
        1L << (3 + random.nextInt(16)),
        random.nextInt(8) == 0);
  }

  private static <T> T any(Random random, T[] values) {
    return values[random.nextInt(values.length)];
  }

  private static Set<String> frozen(Random random, boolean hearing) {
    return switch (random.nextInt(10)) {
      case 0 -> Set.of(CaptionModel.VISION);
      case 1 -> Set.of(CaptionModel.LANGUAGE);
      case 2 -> hearing ? Set.of(CaptionModel.AUDIO) : Set.of();
      case 3 -> hearing ? Set.of(CaptionModel.VISION, CaptionModel.LANGUAGE) : Set.of();
      default -> Set.of();
    };
  }

  private static ParallelConfig layout(Random random, boolean hearing, ScheduleKind schedule) {
    int largest = hearing ? 4 : random.nextInt(4) == 0 ? 8 : 6;
    int[] layers =
        hearing
            ? new int[] {VISION_LAYERS, AUDIO_LAYERS, LANGUAGE_LAYERS}
            : new int[] {VISION_LAYERS, LANGUAGE_LAYERS};
    List<Placement> sides = new ArrayList<>();
    for (int count : layers) {
      sides.add(side(random, largest, count, schedule));
    }
    int most = sides.stream().mapToInt(side -> side.ranks().size()).max().orElseThrow();
    int all = sides.stream().mapToInt(side -> side.ranks().size()).sum();
    int kind = random.nextInt(3);
    int world = Math.min(MOST_RANKS, kind == 1 ? all : most + random.nextInt(4));
    int next = 0;
    for (int i = 0; i < sides.size(); i++) {
      Placement side = sides.get(i);
      int size = side.ranks().size();
      if (kind == 1 && all <= MOST_RANKS) {
        sides.set(i, with(side, RankSet.range(next, size)));
        next += size;
      } else if (kind == 2) {
        List<Integer> ranks = new ArrayList<>(IntStream.range(0, world).boxed().toList());
        Collections.shuffle(ranks, random);
        sides.set(i, with(side, new RankSet(ranks.subList(0, size).stream().sorted().toList())));
      }
    }
    return layout(schedule, sides);
  }

  private static Placement side(Random random, int largest, int layers, ScheduleKind schedule) {
    int[] sizes = new int[4];
    do {
      for (int i = 0; i < sizes.length; i++) {
        int draw = random.nextInt(20);
        sizes[i] = draw < 10 ? 1 : draw < 16 ? 2 : draw < 18 ? 3 : 4;
      }
    } while (Arrays.stream(sizes).reduce(1, (a, b) -> a * b) > largest);
    int pp = sizes[2];
    int chunks =
        schedule == ScheduleKind.INTERLEAVED && 2 * pp <= layers && random.nextBoolean() ? 2 : 1;
    ContextMethod method = any(random, ContextMethod.values());
    // All-to-all divides the heads of a tensor-parallel rank, of which each must have one.
    boolean enough = HEADS / sizes[0] >= sizes[1];
    Division division =
        new Division(
            enough || method != ContextMethod.ALL_TO_ALL ? method : ContextMethod.RING,
            random.nextBoolean(),
            random.nextInt(3) == 0 ? stageLayers(random, pp * chunks, layers) : List.of(),
            chunks,
            random.nextBoolean());
    return placement(sizes[0], sizes[1], pp, sizes[3], division);
  }

  private static List<Integer> stageLayers(Random random, int stages, int layers) {
    List<Integer> counts = new ArrayList<>(Collections.nCopies(stages, 1));
    for (int layer = stages; layer < layers; layer++) {
      int stage = random.nextInt(stages);
      counts.set(stage, counts.get(stage) + 1);
    }
    return counts;
  }

  /** A placement on the first ranks. */
  static Placement placement(int tp, int cp, int pp, int dp, Division division) {
    return new Placement(RankSet.range(0, tp * cp * pp * dp), tp, cp, pp, dp, division);
  }

  static Placement with(Placement side, RankSet ranks) {
    return new Placement(ranks, side.tp(), side.cp(), side.pp(), side.dp(), side.division());
  }

  /** The layout of two or three sides on as many ranks as they name. */
  static ParallelConfig layout(ScheduleKind schedule, List<Placement> sides) {
    int ranks = 1 + sides.stream().mapToInt(side -> side.ranks().last()).max().orElseThrow();
    return new ParallelConfig(
        ranks,
        schedule,
        Strategy.DIRECT,
        sides.getFirst(),
        sides.size() == 3 ? sides.get(1) : null,
        sides.getLast());
  }

  /** The components' placements, vision first and language last. */
  List<Placement> sides() {
    return List.copyOf(layout.placements().values());
  }

  private ModelConfig model(boolean recomputed) {
    boolean hearing = layout.audio() != null;
    return new ModelConfig(
        new ModelConfig.Vision(VISION_LAYERS, 8, HEADS, 4, TinyModel.IMAGE_SIZE, recomputed),
        hearing ? new ModelConfig.Audio(AUDIO_LAYERS, 8, HEADS, 2, recomputed) : null,
        new ModelConfig.Projector(10),
        new ModelConfig.Language(
            LANGUAGE_LAYERS, 8, HEADS, 12 + TinyModel.MOST_CLIP_ROWS, tied, recomputed));
  }

  /** The run. */
  Experiment experiment() {
    Experiment experiment = new Experiment();
    experiment.layout = layout;
    experiment.model = model(recompute);
    experiment.strategy = strategy;
    experiment.samples = samples;
    experiment.microBatches = microBatches;
    experiment.packed = packed;
    experiment.textOnly = textOnly.stream().mapToInt(Integer::intValue).toArray();
    experiment.padded = padded.stream().mapToInt(Integer::intValue).toArray();
    experiment.frozen = frozen;
    experiment.clipNorm = clipNorm;
    experiment.learningRates = rates;
    experiment.bucketBytes = bucketBytes;
    experiment.alone = alone;
    return experiment.steps(steps);
  }

  /** The same on one rank, in one microbatch and in the plainest way. */
  Experiment control() {
    Experiment control = experiment().onOneRank();
    control.model = model(false);
    control.strategy = Strategy.DIRECT;
    control.microBatches = 1;
    control.packed = false;
    control.bucketBytes = GradientReduction.BUCKET_BYTES;
    return control;
  }

  /** Which of the features that a configuration may have this one has. */
  Set<String> features() {
    Set<String> features = new TreeSet<>();
    features.add(layout.schedule().label());
    features.add(strategy.label());
    features.add((alone ? 1 : sides().size()) + " components");
    features.add(microBatches + " microbatches");
    features.add(packed ? "packed" : "padded to one length");
    for (Placement side : sides()) {
      features.add("tp" + side.tp());
      features.add("cp" + side.cp());
      features.add("pp" + side.pp());
      features.add("dp" + side.dp());
      Division division = side.division();
      if (side.cp() > 1) {
        features.add(division.cpMethod().label());
      }
      if (side.tp() > 1 && division.sequenceParallel()) {
        features.add("sequence parallel");
      }
      if (side.dp() > 1 && division.shardOptimizer()) {
        features.add("zero-1");
      }
      if (division.chunks() > 1) {
        features.add("chunks");
      }
    }
    Set<Integer> encoder = Set.copyOf(layout.vision().ranks().ranks());
    Set<Integer> sink = Set.copyOf(layout.language().ranks().ranks());
    features.add(
        encoder.equals(sink)
            ? "same ranks"
            : Collections.disjoint(encoder, sink) ? "disjoint ranks" : "some shared ranks");
    if (tied) {
      features.add("tied");
    }
    if (recompute) {
      features.add("recompute");
    }
    if (!textOnly.isEmpty()) {
      features.add("text only");
    }
    frozen.forEach(name -> features.add("frozen " + name));
    return features;
  }

  @Override
  public String toString() {
    return experiment().toString();
  }
}
