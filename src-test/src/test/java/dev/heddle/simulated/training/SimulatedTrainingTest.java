package dev.heddle.simulated.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.nccl.SimulatedNccl;
import dev.heddle.train.cli.DeviceKind;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.report.StepMetrics;
import dev.heddle.train.run.TrainingData;
import dev.heddle.train.run.TrainingRun;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The captioning example, small, on 1, 2 and 4 simulated GPUs: its losses are those of the
 * processor, whether arrays travel through main memory or by the simulated NCCL. Streams are lazy,
 * so that a wait that is missing gives other numbers.
 */
class SimulatedTrainingTest {
  static final Path EXAMPLE = Path.of("..", "examples", "emoji-captions.yaml");
  private static final int STEPS = 3;
  private static final double TOLERANCE = 1e-4;

  static final List<String> SMALL =
      List.of(
          "model.vision.layers=1",
          "model.vision.hiddenSize=24",
          "model.vision.heads=3",
          "model.vision.patchSize=8",
          "model.projector.hiddenSize=20",
          "model.language.layers=1",
          "model.language.hiddenSize=32",
          "model.language.heads=4",
          "train.globalBatch=4");

  static final List<String> ONE_RANK =
      List.of(
          "parallel.ranks=1",
          "parallel.vision.ranks=0",
          "parallel.vision.dp=1",
          "parallel.language.ranks=0",
          "parallel.language.tp=1");

  @TempDir private Path folder;

  @ParameterizedTest
  @CsvSource(
      delimiter = ';',
      value = {
        "1; ",
        "2; parallel.ranks=2 parallel.vision.ranks=0-1 parallel.vision.dp=2 parallel.language.ranks=0-1 parallel.language.tp=2",
        "2; parallel.ranks=2 parallel.vision.ranks=0 parallel.vision.dp=1 parallel.language.ranks=1 parallel.language.tp=1",
        "4; parallel.ranks=4 parallel.vision.ranks=0-1 parallel.vision.dp=2 parallel.language.ranks=2-3 parallel.language.tp=1 parallel.language.cp=2 train.microBatches=2"
      })
  void example_onSimulatedGpus_hasTheProcessorsLosses(int gpus, String layout) {
    List<String> sets = new ArrayList<>(SMALL);
    if (layout == null) {
      sets.addAll(ONE_RANK);
    } else {
      sets.addAll(List.of(layout.split(" ")));
    }
    RunConfig config = load(sets);
    List<StepMetrics> control = train(config, DeviceKind.cpu, STEPS);
    try (SimulatedGpus machine = SimulatedGpus.install(gpus, SimulatedOptions.lazily());
        NativeLibrary.Substitution cublas = SimulatedCublas.install()) {
      assertLosses(train(config, DeviceKind.cuda, STEPS), control);
      try (SimulatedNccl nccl = SimulatedNccl.install()) {
        assertLosses(train(config, DeviceKind.cuda, STEPS), control);
        // One GPU has nobody to talk to; several must not have gone through main memory again.
        assertThat(nccl.calls("ncclSend") + nccl.calls("ncclAllReduce") > 0).isEqualTo(gpus > 1);
        assertThat(nccl.complaints()).isEmpty();
        assertThat(nccl.openCommunicators()).isEmpty();
      }
      assertThat(machine.complaints()).isEmpty();
    }
  }

  private static final String DATA_TO_TENSOR =
      "parallel.ranks=2 parallel.vision.ranks=0-1 parallel.vision.dp=2"
          + " parallel.language.ranks=0-1 parallel.language.tp=2";
  private static final String APART =
      "parallel.ranks=4 parallel.vision.ranks=0-1 parallel.vision.dp=2 parallel.language.ranks=2-3"
          + " parallel.language.tp=1 parallel.language.cp=2 train.microBatches=2";

  /** GPUs, layout and other settings, whether by NCCL, steps, and the fewest that are graphs. */
  static Stream<Arguments> recorded() {
    String one = String.join(" ", ONE_RANK);
    // Which of two samples have a picture: shapes that come again, in between others.
    String mixed = " train.globalBatch=2 data.textOnly=0.5";
    return Stream.of(
        Arguments.of(1, one, false, 5, 4),
        Arguments.of(2, DATA_TO_TENSOR, false, 5, 4),
        Arguments.of(2, DATA_TO_TENSOR, true, 5, 4),
        Arguments.of(2, DATA_TO_TENSOR + " parallel.vision.shardOptimizer=true", true, 5, 4),
        Arguments.of(4, APART, false, 5, 4),
        Arguments.of(4, APART, true, 5, 4),
        Arguments.of(1, one + " dtype=bf16", false, 5, 4),
        Arguments.of(1, one + mixed, false, 14, 6),
        Arguments.of(2, DATA_TO_TENSOR + mixed, true, 14, 6),
        Arguments.of(1, one + " data.packed=true", false, 5, 0));
  }

  /**
   * Steps that are recorded and repeated are those that are run: to the bit. What a recording has
   * as numbers must not be those of a step of other shapes.
   */
  @ParameterizedTest
  @MethodSource("recorded")
  void example_asAGraph_hasTheSameLosses(
      int gpus, String settings, boolean withNccl, int count, int graphs) {
    List<String> sets = new ArrayList<>(SMALL);
    sets.addAll(List.of(settings.split(" ")));
    sets.add("train.lossScale=0");
    sets.add("train.warmupSteps=1");
    RunConfig config = load(sets);
    try (SimulatedGpus machine = SimulatedGpus.install(gpus, SimulatedOptions.lazily());
        NativeLibrary.Substitution cublas = SimulatedCublas.install();
        SimulatedNccl nccl = withNccl ? SimulatedNccl.install() : null) {
      List<StepMetrics> eager = train(config, DeviceKind.cuda, count);
      assertThat(machine.counters().graphLaunches()).isZero();
      List<StepMetrics> steps = new ArrayList<>();
      new TrainingRun(config, TrainingData.open(config), DeviceKind.cuda, true)
          .train(null, count, steps::add);
      assertThat(machine.counters().graphLaunches()).isGreaterThanOrEqualTo((long) graphs * gpus);
      for (int i = 0; i < count; i++) {
        assertThat(steps.get(i).loss()).as("loss of step %d", i + 1).isEqualTo(eager.get(i).loss());
        assertThat(steps.get(i).gradNorm()).isEqualTo(eager.get(i).gradNorm());
      }
      assertThat(steps).hasSize(count);
      assertThat(machine.complaints()).isEmpty();
      if (nccl != null) {
        assertThat(nccl.complaints()).isEmpty();
      }
    }
  }

  private static void assertLosses(List<StepMetrics> steps, List<StepMetrics> control) {
    assertThat(steps).hasSize(STEPS);
    for (int i = 0; i < STEPS; i++) {
      double loss = control.get(i).loss();
      assertThat(steps.get(i).loss())
          .as("loss of step %d", i + 1)
          .isCloseTo(loss, within(TOLERANCE * loss));
      double norm = control.get(i).gradNorm();
      assertThat(steps.get(i).gradNorm())
          .as("gradient norm of step %d", i + 1)
          .isCloseTo(norm, within(1e-3 * norm));
    }
  }

  /**
   * Activations and gradients in bf16, weights and moments in f32: on either device the curve is
   * that of f32 as far as 8 bits of significand carry.
   */
  @ParameterizedTest
  @EnumSource(DeviceKind.class)
  void bf16_hasTheCurveOfF32(DeviceKind device) {
    List<String> sets = new ArrayList<>(SMALL);
    sets.addAll(ONE_RANK);
    sets.add("train.warmupSteps=0");
    List<StepMetrics> control = train(load(sets), DeviceKind.cpu, 8);
    sets.add("dtype=bf16");
    RunConfig config = load(sets);
    List<StepMetrics> steps;
    try (SimulatedGpus machine = SimulatedGpus.install(1, SimulatedOptions.lazily());
        NativeLibrary.Substitution cublas = SimulatedCublas.install()) {
      steps = train(config, device, 8);
    }
    assertThat(steps).hasSize(8);
    for (int i = 0; i < steps.size(); i++) {
      double loss = control.get(i).loss();
      assertThat(steps.get(i).loss())
          .as("loss of step %d", i + 1)
          .isCloseTo(loss, within(0x1p-6 * loss));
    }
    assertThat(steps.getLast().loss()).isLessThan(steps.getFirst().loss());
  }

  private RunConfig load(List<String> sets) {
    List<String> all = new ArrayList<>(sets);
    all.add("output='" + folder.resolve("run") + "'");
    return ConfigLoader.load(EXAMPLE, all.stream().map(ConfigOverride::set).toList());
  }

  private static List<StepMetrics> train(RunConfig config, DeviceKind device, int count) {
    List<StepMetrics> steps = new ArrayList<>();
    new TrainingRun(config, TrainingData.open(config), device).train(null, count, steps::add);
    return steps;
  }
}
