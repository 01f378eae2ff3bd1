package dev.heddle.train.config;

import dev.heddle.parallel.context.ContextMethod;
import dev.heddle.parallel.pipeline.ScheduleKind;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;

/**
 * The checks between keys: sizes that cannot work together and ranks that do not exist. Each check
 * says the same from the view of every key that takes part, and the refusal names the key that the
 * user most likely meant to change (see {@link Origin#rank()}).
 */
final class ConfigRules {
  private final RunConfig config;
  private final Provenance provenance;
  private final List<ConfigProblem> problems;

  private ConfigRules(RunConfig config, Provenance provenance, List<ConfigProblem> problems) {
    this.config = config;
    this.provenance = provenance;
    this.problems = problems;
  }

  /** Adds a problem for each rule that the configuration breaks. */
  static void check(RunConfig config, Provenance provenance, List<ConfigProblem> problems) {
    ConfigRules rules = new ConfigRules(config, provenance, problems);
    rules.model();
    config.parallel().placements().forEach(rules::component);
    rules.idleRanks();
    rules.batch();
    rules.training();
    rules.dataPath();
  }

  private record View(String key, String reason, String accepted) {}

  private void refuse(View first, View... others) {
    View named = first;
    for (View other : others) {
      if (provenance.rank(other.key) > provenance.rank(named.key)) {
        named = other;
      }
    }
    problems.add(new ConfigProblem(provenance.locate(named.key), named.reason, named.accepted));
  }

  private void model() {
    ModelConfig.Vision vision = config.model().vision();
    ModelConfig.Language language = config.model().language();
    ModelConfig.Audio audio = config.model().audio();
    if (audio != null) {
      headsDivide("model.audio", audio.hiddenSize(), audio.heads());
    }
    boolean headsFit = headsDivide("model.vision", vision.hiddenSize(), vision.heads());
    headsFit &= headsDivide("model.language", language.hiddenSize(), language.heads());
    if (headsFit && language.headSize() % 2 != 0) {
      String reason =
          "a head has hiddenSize / heads = %d / %d = %d features, an odd number, and rotary"
              + " embedding turns pairs of features";
      reason = reason.formatted(language.hiddenSize(), language.heads(), language.headSize());
      refuse(
          new View(
              "model.language.heads",
              reason,
              listed(divisors(language.hiddenSize(), 2), "a hiddenSize of an even head size")),
          new View(
              "model.language.hiddenSize",
              reason,
              "a multiple of " + 2 * language.heads() + " with heads " + language.heads()));
    }
    if (vision.imageSize() % vision.patchSize() != 0) {
      String reason =
          "a picture of %d pixels is not cut evenly by patches of %d"
              .formatted(vision.imageSize(), vision.patchSize());
      refuse(
          new View(
              "model.vision.imageSize",
              reason,
              "a multiple of patchSize " + vision.patchSize() + ": " + near(vision)),
          new View("model.vision.patchSize", reason, listed(divisors(vision.imageSize(), 1), "")));
      return;
    }
    contextLength();
  }

  private void contextLength() {
    ModelConfig.Vision vision = config.model().vision();
    ModelConfig.Audio audio = config.model().audio();
    int context = config.model().language().contextLength();
    long side = vision.imageSize() / vision.patchSize();
    long heard = audio == null ? 0 : audio.rowCount(DataConfig.EMOJI_LONGEST_SOUND);
    long needed = side * side + heard + DataConfig.EMOJI_TEXT_LENGTH;
    if (context >= needed) {
      return;
    }
    String reason =
        "a sequence is %d patches of the picture%s and up to %d text tokens, %d in all, and"
            + " contextLength is %d";
    reason =
        reason.formatted(
            side * side,
            audio == null ? "" : ", up to " + heard + " rows of sound",
            DataConfig.EMOJI_TEXT_LENGTH,
            needed,
            context);
    List<View> others = new ArrayList<>();
    others.add(new View("model.vision.imageSize", reason, "a smaller picture or a longer context"));
    others.add(new View("model.vision.patchSize", reason, "a larger patch or a longer context"));
    if (audio != null) {
      others.add(
          new View("model.audio.framesPerRow", reason, "more frames a row or a longer context"));
    }
    refuse(
        new View("model.language.contextLength", reason, "at least " + needed),
        others.toArray(View[]::new));
  }

  private void dataPath() {
    Path path = config.data().path();
    if (path == null) {
      return;
    }
    String reason = "";
    if (!Files.isDirectory(path)) {
      reason = Files.exists(path) ? "not a folder" : "there is no such folder";
    } else {
      List<String> missing =
          dataFiles().stream().filter(file -> !Files.isReadable(path.resolve(file))).toList();
      if (!missing.isEmpty()) {
        reason = "cannot read " + String.join(", ", missing) + " in it";
      }
    }
    if (!reason.isEmpty()) {
      refuse(
          new View(
              "data.path",
              reason,
              "a folder with "
                  + String.join(", ", dataFiles())
                  + ", or nothing for the pictures shipped with Heddle"));
    }
  }

  private List<String> dataFiles() {
    List<String> files = new ArrayList<>(DataConfig.EMOJI_FILES);
    if (config.model().audio() != null) {
      files.addAll(DataConfig.EMOJI_SOUND_FILES);
    }
    return files;
  }

  private boolean headsDivide(String component, int hiddenSize, int heads) {
    if (hiddenSize % heads == 0) {
      return true;
    }
    refuse(
        new View(
            component + ".heads",
            "hiddenSize " + hiddenSize + " is not divisible by " + heads,
            listed(divisors(hiddenSize, 1), "")),
        new View(
            component + ".hiddenSize",
            "not divisible by heads " + heads,
            "a multiple of "
                + heads
                + ", such as "
                + Math.max(1, hiddenSize / heads) * (long) heads));
    return false;
  }

  private void component(String name, ParallelConfig.Placement placement) {
    ModelConfig model = config.model();
    ModelConfig.Audio audio = model.audio();
    int heads =
        switch (name) {
          case "vision" -> model.vision().heads();
          case "audio" -> audio == null ? 1 : audio.heads();
          default -> model.language().heads();
        };
    int layers =
        switch (name) {
          case "vision" -> model.vision().layers();
          case "audio" -> audio == null ? 1 : audio.layers();
          default -> model.language().layers();
        };
    placement(name, placement, heads);
    stages(name, placement, layers);
  }

  private void stages(String component, ParallelConfig.Placement placement, int layers) {
    String parallel = "parallel." + component;
    int stages = placement.stageCount();
    List<Integer> given = placement.division().stageLayers();
    String cut =
        "pp %d x chunks %d = %d pipeline stages"
            .formatted(placement.pp(), placement.division().chunks(), stages);
    if (layers < stages) {
      String reason = "%d layers cannot be cut into %s".formatted(layers, cut);
      refuse(
          new View(parallel + ".pp", reason, "a product of at most " + layers),
          new View(parallel + ".chunks", reason, "a product of at most " + layers),
          new View("model." + component + ".layers", reason, "at least " + stages));
    } else if (!given.isEmpty()) {
      int sum = given.stream().mapToInt(Integer::intValue).sum();
      if (given.size() != stages || sum != layers) {
        refuse(
            new View(
                parallel + ".stageLayers",
                "%d numbers with sum %d for %s of %d layers"
                    .formatted(given.size(), sum, cut, layers),
                "%d numbers of at least 1 with sum %d".formatted(stages, layers)));
      }
    }
    if (placement.division().chunks() > 1
        && config.parallel().schedule() != ScheduleKind.INTERLEAVED) {
      String reason =
          "%d stages a rank under schedule %s"
              .formatted(placement.division().chunks(), config.parallel().schedule().label());
      refuse(
          new View(parallel + ".chunks", reason, "1, or parallel.schedule interleaved"),
          new View("parallel.schedule", reason, "interleaved, or chunks 1"));
    }
  }

  private void placement(String component, ParallelConfig.Placement placement, int heads) {
    String parallel = "parallel." + component;
    RankSet ranks = placement.ranks();
    int world = config.parallel().ranks();
    if (ranks.last() >= world) {
      String reason =
          "rank %d does not exist, the run has %s"
              .formatted(
                  ranks.ranks().stream().filter(rank -> rank >= world).findFirst().orElseThrow(),
                  world == 1 ? "only rank 0" : "ranks 0-" + (world - 1));
      String within = world == 1 ? "0" : "ranks within 0-" + (world - 1);
      refuse(
          new View(
              parallel + ".ranks", reason, within + ", or parallel.ranks " + (ranks.last() + 1)),
          new View(
              "parallel.ranks",
              parallel + " runs on ranks " + ranks,
              "at least " + (ranks.last() + 1) + ", or " + parallel + ".ranks " + within));
    }
    if (placement.axisProduct() != ranks.size()) {
      String reason =
          "%s is %s, and tp %d x cp %d x pp %d x dp %d = %d"
              .formatted(
                  "ranks " + ranks,
                  ranks.size() == 1 ? "1 rank" : ranks.size() + " ranks",
                  placement.tp(),
                  placement.cp(),
                  placement.pp(),
                  placement.dp(),
                  placement.axisProduct());
      String sizes = "axis sizes whose product is " + ranks.size();
      String places = "as many ranks as " + placement.axisProduct();
      List<View> axes = new ArrayList<>();
      for (String axis : List.of("tp", "cp", "pp", "dp")) {
        axes.add(new View(parallel + "." + axis, reason, sizes + ", or " + places));
      }
      refuse(
          new View(parallel + ".ranks", reason, places + ", or " + sizes),
          axes.toArray(View[]::new));
    }
    if (heads < placement.tp()) {
      String reason =
          "%d heads cannot be split over tp %d: each rank needs at least one"
              .formatted(heads, placement.tp());
      refuse(
          new View(parallel + ".tp", reason, "1 to " + heads),
          new View("model." + component + ".heads", reason, "at least " + placement.tp()));
    } else if (placement.cp() > 1
        && placement.division().cpMethod() == ContextMethod.ALL_TO_ALL
        && heads / placement.tp() < placement.cp()) {
      int most = heads / placement.tp();
      String reason =
          "all-to-all gives each of cp %d ranks some heads, and with %d heads over tp %d a rank has %d"
              .formatted(placement.cp(), heads, placement.tp(), most);
      String others = "parallel." + component + ".cpMethod ring or all-gather";
      refuse(
          new View(parallel + ".cp", reason, "1 to " + most + ", or " + others),
          new View(parallel + ".cpMethod", reason, "ring, all-gather, or cp of at most " + most));
    }
  }

  /** A rank without a component would hold cores and never do anything. */
  private void idleRanks() {
    ParallelConfig parallel = config.parallel();
    List<Integer> idle =
        IntStream.range(0, Math.min(parallel.ranks(), RankSet.MAXIMUM))
            .filter(
                rank ->
                    parallel.placements().values().stream()
                        .noneMatch(placement -> placement.ranks().contains(rank)))
            .boxed()
            .toList();
    if (!idle.isEmpty()) {
      int used =
          1
              + parallel.placements().values().stream()
                  .mapToInt(placement -> placement.ranks().last())
                  .max()
                  .orElse(0);
      refuse(
          new View(
              "parallel.ranks",
              "no component runs on " + (idle.size() == 1 ? "rank " : "ranks ") + new RankSet(idle),
              (used < parallel.ranks() ? used + ", or " : "") + "components placed on every rank"));
    }
  }

  private void batch() {
    TrainConfig train = config.train();
    if (train.microBatches() > train.globalBatch()) {
      String reason =
          "%d samples cannot be cut into %d micro batches"
              .formatted(train.globalBatch(), train.microBatches());
      refuse(
          new View("train.microBatches", reason, "1 to globalBatch " + train.globalBatch()),
          new View("train.globalBatch", reason, "at least " + train.microBatches()));
      return;
    }
    config.parallel().placements().forEach((name, placement) -> batch(name, placement.dp()));
  }

  private void batch(String component, int dp) {
    TrainConfig train = config.train();
    long needed = (long) dp * train.microBatches();
    if (train.globalBatch() >= needed) {
      return;
    }
    String reason =
        "globalBatch %d is smaller than parallel.%s.dp %d x microBatches %d = %d: each"
            + " data-parallel rank needs at least one sample of each micro batch";
    reason = reason.formatted(train.globalBatch(), component, dp, train.microBatches(), needed);
    refuse(
        new View("train.globalBatch", reason, "at least " + needed),
        new View(
            "train.microBatches",
            reason,
            dp > train.globalBatch()
                ? "a larger globalBatch"
                : "1 to " + train.globalBatch() / dp + ", or globalBatch " + needed),
        new View(
            "parallel." + component + ".dp",
            reason,
            "1 to " + train.globalBatch() / train.microBatches() + ", or globalBatch " + needed));
  }

  /** What is said of components must be of ones that there are, and leave something to train. */
  private void training() {
    Set<String> placed = config.parallel().placements().keySet();
    Set<String> frozen = config.train().frozen();
    config.train().components().keySet().stream()
        .filter(name -> !placed.contains(name))
        .sorted()
        .forEach(
            name ->
                refuse(
                    new View(
                        "train."
                            + name
                            + (config.train().component(name).learningRate() == null
                                ? ".frozen"
                                : ".learningRate"),
                        "the model has no component " + name,
                        "one of " + String.join(", ", placed))));
    if (frozen.containsAll(placed)) {
      List<View> views = new ArrayList<>();
      for (String name : placed) {
        views.add(
            new View(
                "train." + name + ".frozen",
                "every component is frozen, nothing is left to train",
                "false, for one of " + String.join(", ", placed)));
      }
      refuse(views.getFirst(), views.subList(1, views.size()).toArray(View[]::new));
    }
  }

  /** The divisors d of a size for which size / d is a multiple of {@code unit}. */
  private static List<Integer> divisors(int size, int unit) {
    return IntStream.rangeClosed(1, size)
        .filter(d -> size % d == 0 && size / d % unit == 0)
        .boxed()
        .toList();
  }

  private static String listed(List<Integer> values, String whenEmpty) {
    if (values.isEmpty()) {
      return whenEmpty;
    }
    List<String> shown = values.stream().limit(12).map(String::valueOf).toList();
    return String.join(", ", shown) + (values.size() > 12 ? ", ..." : "");
  }

  private static String near(ModelConfig.Vision vision) {
    long below = (long) vision.imageSize() / vision.patchSize() * vision.patchSize();
    long above = below + vision.patchSize();
    return below == 0 ? Long.toString(above) : below + " or " + above;
  }
}
