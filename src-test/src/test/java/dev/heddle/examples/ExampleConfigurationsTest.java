package dev.heddle.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.train.cli.PlanRequest;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.config.TrainConfig;
import dev.heddle.train.report.StepMetrics;
import dev.heddle.train.run.TrainingApplication;
import dev.heddle.train.run.TrainingData;
import dev.heddle.train.run.TrainingRun;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every configuration in {@code examples/}: it can be planned, and (but for those that are far too
 * large) it trains as on one rank. The layouts, layers, heads and data are the example's own;
 * widths are cut down and numbers are in double precision, so that equality means something and
 * costs little.
 */
class ExampleConfigurationsTest {
  private static final Path EXAMPLES = Path.of("..", "examples");

  /** Far too large to be run here. */
  private static final Set<String> ONLY_PLANNED = Set.of("captions-1b.yaml", "plan-70b.yaml");

  private static final int STEPS = 3;
  private static final double TOLERANCE = 1e-9;

  @TempDir Path folder;

  static List<Path> examples() throws IOException {
    try (Stream<Path> files = Files.list(EXAMPLES)) {
      return files.filter(file -> file.toString().endsWith(".yaml")).sorted().toList();
    }
  }

  @Test
  void everyKindOfPlacement_hasAnExample() throws IOException {
    assertThat(examples().stream().map(file -> file.getFileName().toString()))
        .contains(
            "homogeneous.yaml",
            "colocated.yaml",
            "non-colocated.yaml",
            "mixed.yaml",
            "long-context.yaml",
            "emoji-captions.yaml",
            "emoji-spoken.yaml");
  }

  @ParameterizedTest
  @MethodSource("examples")
  void example_isExplainedPlannedAndTrainedAsOnOneRank(Path file) throws IOException {
    assertThat(Files.readAllLines(file).getFirst()).as("its explanation").startsWith("# ");
    RunConfig asWritten = ConfigLoader.load(file, List.of());
    assertPlanned(asWritten);
    if (!ONLY_PLANNED.contains(file.getFileName().toString())) {
      assertTrainsAsOnOneRank(narrow(file, List.of()));
    }
  }

  @Test
  void firstCommandOfTheDocumentation_placesTheComponentsAnew() throws IOException {
    Path file = EXAMPLES.resolve("emoji-captions.yaml");
    List<String> sets =
        List.of(
            "parallel.ranks=7",
            "parallel.vision.ranks=0-2",
            "parallel.vision.dp=3",
            "parallel.language.ranks=3-6",
            "parallel.language.cp=2",
            "parallel.language.pp=2",
            "train.microBatches=4");
    RunConfig example = ConfigLoader.load(EXAMPLES.resolve("non-colocated.yaml"), List.of());
    RunConfig config = ConfigLoader.load(file, sets.stream().map(ConfigOverride::set).toList());
    assertThat(config.parallel()).isEqualTo(example.parallel());
    assertPlanned(config);
    assertTrainsAsOnOneRank(narrow(file, sets));
  }

  private static void assertPlanned(RunConfig config) {
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    new TrainingApplication()
        .plan(
            new PlanRequest(config, false, false),
            new PrintStream(text, true, StandardCharsets.UTF_8));
    assertThat(text.toString(StandardCharsets.UTF_8)).contains("vision", "language");
  }

  private RunConfig narrow(Path file, List<String> sets) throws IOException {
    List<String> all = new ArrayList<>(sets);
    RunConfig config = ConfigLoader.load(file, List.of());
    all.add("dtype=f64");
    all.add("output='" + folder.resolve("layout") + "'");
    // Heads of 4 features; as many as in the example, because tensor parallelism divides them.
    all.add("model.vision.hiddenSize=" + 4 * config.model().vision().heads());
    all.add("model.language.hiddenSize=" + 4 * config.model().language().heads());
    all.add("model.projector.hiddenSize=10");
    if (config.model().audio() != null) {
      all.add("model.audio.hiddenSize=" + 4 * config.model().audio().heads());
    }
    all.add("train.globalBatch=16");
    return ConfigLoader.load(file, all.stream().map(ConfigOverride::set).toList());
  }

  private void assertTrainsAsOnOneRank(RunConfig config) {
    List<StepMetrics> control = train(onOneRank(config));
    List<StepMetrics> steps = train(config);
    assertThat(steps).hasSize(STEPS).hasSameSizeAs(control);
    for (int i = 0; i < STEPS; i++) {
      StepMetrics expected = control.get(i);
      StepMetrics step = steps.get(i);
      assertThat(step.tokens()).isEqualTo(expected.tokens());
      assertThat(step.loss())
          .as("loss of step %d", step.step())
          .isCloseTo(expected.loss(), within(TOLERANCE * expected.loss()));
      assertThat(step.gradNorm())
          .as("gradient norm of step %d", step.step())
          .isCloseTo(expected.gradNorm(), within(TOLERANCE * expected.gradNorm()));
    }
  }

  private RunConfig onOneRank(RunConfig config) {
    ParallelConfig single = ParallelConfig.singleRank();
    TrainConfig train = config.train();
    return new RunConfig(
        config.seed(),
        folder.resolve("control"),
        config.dtype(),
        config.data(),
        config.model(),
        new ParallelConfig(
            1,
            single.schedule(),
            single.boundary(),
            single.vision(),
            config.model().audio() == null ? null : Placement.singleRank(),
            single.language()),
        new TrainConfig(
            train.steps(),
            train.globalBatch(),
            1,
            train.learningRate(),
            train.warmupSteps(),
            train.weightDecay(),
            train.clipNorm(),
            train.lossScale(),
            train.components()));
  }

  private static List<StepMetrics> train(RunConfig config) {
    List<StepMetrics> steps = new ArrayList<>();
    new TrainingRun(config, TrainingData.open(config)).train(null, STEPS, steps::add);
    return steps;
  }
}
