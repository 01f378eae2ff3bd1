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
import java.util.Map;
import java.util.TreeMap;

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
            PlacementReader.parallel(root.section("parallel")),
            train(root.section("train")));
    root.refuseOtherKeys();
    checkAudio(config);
    boolean unplaced = config.model().audio() != null && config.parallel().audio() == null;
    return unplaced ? config.withParallel(config.parallel().withAudioOnRank0()) : config;
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
    double textOnly = reader.number("textOnly", 0, x -> x >= 0 && x <= 1, "a number from 0 to 1");
    boolean packed = reader.flag("packed", false);
    reader.refuseOtherKeys();
    return new DataConfig(kind, holdOut, path, textOnly, packed);
  }

  /** An encoder without a place, or a place without an encoder, is half a component. */
  private void checkAudio(RunConfig config) {
    boolean model = config.model().audio() != null;
    boolean placed = config.parallel().audio() != null;
    if (placed && !model) {
      problems.add(
          new ConfigProblem(
              provenance.locate("parallel.audio.ranks"),
              "the model has no component audio",
              "a section model.audio, or no section parallel.audio"));
    }
  }

  private static ModelConfig model(SectionReader reader) {
    SectionReader vision = reader.section("vision");
    reader.offer("audio");
    SectionReader projector = reader.section("projector");
    SectionReader language = reader.section("language");
    ModelConfig model =
        new ModelConfig(
            new ModelConfig.Vision(
                vision.whole("layers", 4, 1),
                vision.whole("hiddenSize", 192, 1),
                vision.whole("heads", 3, 1),
                vision.whole("patchSize", 4, 1),
                vision.whole("imageSize", 32, 1),
                vision.flag("recompute", false)),
            reader.has("audio") ? audio(reader.section("audio")) : null,
            new ModelConfig.Projector(projector.whole("hiddenSize", 768, 1)),
            new ModelConfig.Language(
                language.whole("layers", 4, 1),
                language.whole("hiddenSize", 256, 1),
                language.whole("heads", 4, 1),
                language.whole("contextLength", 96, 1),
                language.flag("tiedEmbeddings", false),
                language.flag("recompute", false)));
    vision.refuseOtherKeys();
    projector.refuseOtherKeys();
    language.refuseOtherKeys();
    reader.refuseOtherKeys();
    return model;
  }

  private static ModelConfig.Audio audio(SectionReader reader) {
    ModelConfig.Audio audio =
        new ModelConfig.Audio(
            reader.whole("layers", 2, 1),
            reader.whole("hiddenSize", 96, 1),
            reader.whole("heads", 3, 1),
            reader.whole("framesPerRow", 4, 1),
            reader.flag("recompute", false));
    reader.refuseOtherKeys();
    return audio;
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
            reader.number("clipNorm", 1.0, x -> x > 0, "a number above 0, or .inf for no clipping"),
            reader.number(
                "lossScale",
                1,
                x -> x >= 0 && Double.isFinite(x),
                "a number above 0, or 0 for one that adapts"),
            components(reader));
    reader.refuseOtherKeys();
    return train;
  }

  private static Map<String, TrainConfig.ComponentTraining> components(SectionReader train) {
    Map<String, TrainConfig.ComponentTraining> components = new TreeMap<>();
    for (String name : List.of("vision", "audio", "language")) {
      train.offer(name);
      if (train.has(name)) {
        SectionReader reader = train.section(name);
        Double rate =
            reader.has("learningRate")
                ? reader.number(
                    "learningRate", 0, x -> x > 0 && Double.isFinite(x), "a number above 0")
                : null;
        reader.offer("learningRate");
        boolean frozen = reader.flag("frozen", false);
        reader.refuseOtherKeys();
        components.put(name, new TrainConfig.ComponentTraining(rate, frozen));
      }
    }
    return components;
  }
}
