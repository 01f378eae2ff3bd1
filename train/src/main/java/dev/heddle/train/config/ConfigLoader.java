package dev.heddle.train.config;

import dev.heddle.train.config.ConfigValue.Section;
import java.io.IOException;
import java.nio.charset.MalformedInputException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads a configuration: file, then overrides, then defaults for what is left out, then every check
 * that needs no data. What comes back can be planned and run.
 */
public final class ConfigLoader {
  private static final String FOLDER = "the path of a folder";

  private final String file;
  private final Provenance provenance = new Provenance();
  private final List<ConfigProblem> problems = new ArrayList<>();

  private ConfigLoader(String file) {
    this.file = file;
  }

  /**
   * Reads a configuration file.
   *
   * @param path the YAML file
   * @param overrides in order; a later one wins
   * @throws ConfigException when the file cannot be read or the configuration cannot work; with
   *     every problem, its line, its value and what would be accepted
   */
  public static RunConfig load(Path path, List<ConfigOverride> overrides) {
    try {
      return parse(path.toString(), Files.readString(path), overrides);
    } catch (IOException e) {
      String reason =
          switch (e) {
            case NoSuchFileException ignored -> "there is no such file";
            case MalformedInputException ignored -> "not a text in UTF-8";
            default -> Files.isDirectory(path) ? "a folder, not a file" : "cannot be read: " + e;
          };
      throw new ConfigException(
          List.of(
              new ConfigProblem(
                  path.toString(),
                  reason,
                  "a configuration file, such as examples/emoji-captions.yaml")));
    }
  }

  /**
   * Reads a configuration text.
   *
   * @param name the name for refusals, such as the file's
   * @param text the YAML
   * @param overrides in order; a later one wins
   * @throws ConfigException as {@link #load}
   */
  public static RunConfig parse(String name, String text, List<ConfigOverride> overrides) {
    ConfigLoader loader = new ConfigLoader(name);
    RunConfig config = loader.read(text, overrides);
    loader.refuseIfProblems();
    ConfigRules.check(config, loader.provenance, loader.problems);
    loader.refuseIfProblems();
    Capabilities.check(config, loader.provenance, loader.problems);
    loader.refuseIfProblems();
    return config;
  }

  private void refuseIfProblems() {
    if (!problems.isEmpty()) {
      throw new ConfigException(problems);
    }
  }

  private RunConfig read(String text, List<ConfigOverride> overrides) {
    Section tree = YamlTree.read(file, text, problems);
    for (ConfigOverride override : overrides) {
      tree = tree.with(List.of(override.key().split("\\.")), YamlTree.read(override, problems));
    }
    SectionReader root = new SectionReader(tree, "", file, provenance, problems);
    long seed = root.whole("seed", 7, 0, Long.MAX_VALUE);
    Path output = path(root, "output", Path.of("runs", "run"));
    Precision dtype =
        Precision.of(root.word("dtype", Precision.F32.word(), Precision.words())).orElseThrow();
    RunConfig config =
        new RunConfig(
            seed,
            output,
            dtype,
            data(root.section("data")),
            model(root.section("model")),
            parallel(root.section("parallel")),
            train(root.section("train")));
    root.refuseOtherKeys();
    return config;
  }

  private Path path(SectionReader reader, String key, Path byDefault) {
    String text = reader.text(key, byDefault.toString(), FOLDER);
    try {
      return Path.of(text);
    } catch (InvalidPathException e) {
      problems.add(
          new ConfigProblem(
              provenance.locate(reader.name(key)), "not a path: " + e.getReason(), FOLDER));
      return byDefault;
    }
  }

  private DataConfig data(SectionReader reader) {
    String kind = reader.word("kind", DataConfig.EMOJI, List.of(DataConfig.EMOJI));
    int holdOut = reader.whole("holdOut", 10, 2);
    Path path = null;
    if (reader.has("path")) {
      path = path(reader, "path", Path.of("."));
    } else {
      reader.text("path", "", FOLDER);
    }
    reader.refuseOtherKeys();
    return new DataConfig(kind, holdOut, path);
  }

  private static ModelConfig model(SectionReader reader) {
    SectionReader vision = reader.section("vision");
    SectionReader projector = reader.section("projector");
    SectionReader language = reader.section("language");
    ModelConfig model =
        new ModelConfig(
            new ModelConfig.Vision(
                vision.whole("layers", 4, 1),
                vision.whole("hiddenSize", 192, 1),
                vision.whole("heads", 3, 1),
                vision.whole("patchSize", 4, 1),
                vision.whole("imageSize", 32, 1)),
            new ModelConfig.Projector(projector.whole("hiddenSize", 768, 1)),
            new ModelConfig.Language(
                language.whole("layers", 4, 1),
                language.whole("hiddenSize", 256, 1),
                language.whole("heads", 4, 1),
                language.whole("contextLength", 96, 1)));
    vision.refuseOtherKeys();
    projector.refuseOtherKeys();
    language.refuseOtherKeys();
    reader.refuseOtherKeys();
    return model;
  }

  /** A left-out count of ranks is as many as the components use. */
  private static ParallelConfig parallel(SectionReader reader) {
    // Asked for first, so that refusals list the keys in their usual order.
    boolean given = reader.has("ranks");
    int ranks = reader.whole("ranks", 1, 1);
    ParallelConfig.Placement vision = placement(reader.section("vision"));
    ParallelConfig.Placement language = placement(reader.section("language"));
    reader.refuseOtherKeys();
    if (!given) {
      ranks = 1 + Math.max(vision.ranks().last(), language.ranks().last());
      reader.showDefault("ranks", Integer.toString(ranks));
    }
    return new ParallelConfig(ranks, vision, language);
  }

  // Keeps a slip of the finger from overflowing a product of four axes.
  private static final int LARGEST_AXIS = 16384;

  /** Left-out ranks are as many as the axes need, from rank 0. */
  private static ParallelConfig.Placement placement(SectionReader reader) {
    boolean given = reader.has("ranks");
    RankSet ranks = reader.ranks("ranks", RankSet.range(0, 1));
    ParallelConfig.Placement placement =
        new ParallelConfig.Placement(
            ranks, axis(reader, "tp"), axis(reader, "cp"), axis(reader, "pp"), axis(reader, "dp"));
    reader.refuseOtherKeys();
    if (given || placement.axisProduct() > RankSet.MAXIMUM) {
      return placement;
    }
    ranks = RankSet.range(0, (int) placement.axisProduct());
    reader.showDefault("ranks", ranks.toString());
    return new ParallelConfig.Placement(
        ranks, placement.tp(), placement.cp(), placement.pp(), placement.dp());
  }

  private static int axis(SectionReader reader, String key) {
    return (int) reader.whole(key, 1, 1, LARGEST_AXIS);
  }

  private static TrainConfig train(SectionReader reader) {
    TrainConfig train =
        new TrainConfig(
            reader.whole("steps", 400, 1),
            reader.whole("globalBatch", 32, 1),
            reader.whole("microBatches", 1, 1),
            reader.number(
                "learningRate", 0.001, x -> x > 0 && Double.isFinite(x), "a number above 0"),
            reader.whole("warmupSteps", 20, 0),
            reader.number(
                "weightDecay", 0.01, x -> x >= 0 && Double.isFinite(x), "a number of at least 0"),
            reader.number(
                "clipNorm", 1.0, x -> x > 0, "a number above 0, or .inf for no clipping"));
    reader.refuseOtherKeys();
    return train;
  }
}
