package dev.heddle.simulated.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.nccl.SimulatedNccl;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.run.CountedTraining;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A steady step on several simulated GPUs that communicate by the simulated NCCL waits for the
 * device no more than that of a single GPU, which does not, under every way to divide a component:
 * no layer reads on the host what it could leave to the device. It takes no memory from the driver
 * either. Recorded, it is a few launches of graphs.
 */
class ParallelStepCountTest {
  private static final int STEPS = 6;

  /** Pools have their size, and NCCL's events their number, after these. */
  private static final int FIRST_STEADY = 3;

  @TempDir private Path folder;

  private static final String[] LAYOUTS = {
    "one GPU | 1 | {ranks: 0} | {ranks: 0}",
    "tp | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, tp: 2}",
    "tp of the encoder | 2 | {ranks: 0-1, tp: 2} | {ranks: 0-1, tp: 2}",
    "sequence-parallel tp | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, tp: 2, sequenceParallel: true}",
    "dp | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, dp: 2}",
    "dp, divided optimizer | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, dp: 2, shardOptimizer: true}",
    "cp, ring | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, cp: 2}",
    "cp, all-gather | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, cp: 2, cpMethod: all-gather}",
    "cp, all-to-all | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, cp: 2, cpMethod: all-to-all}",
    "pp | 2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, pp: 2}",
    "components apart | 2 | {ranks: 1} | {ranks: 0}",
  };

  static Stream<Arguments> layouts() {
    return Arrays.stream(LAYOUTS).map(line -> Arguments.of((Object[]) line.split(" \\| ")));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("layouts")
  void steadyStep_waitsForTheDeviceNoMoreThanOnOneGpu(
      String name, int gpus, String vision, String language) {
    for (CudaCounters step : steady(train(gpus, vision, language, false))) {
      assertThat(step.hostSynchronizations()).as("waits of a steady step, %s", name).isZero();
      assertThat(step.trailingWaits()).as("waits for the step before, %s", name).isLessThan(2);
      assertThat(step.deviceAllocations()).as("allocations of a steady step, %s", name).isZero();
    }
  }

  @Tag("thorough")
  @ParameterizedTest(name = "{0}")
  @MethodSource("layouts")
  void recordedStep_isAFewGraphs(String name, int gpus, String vision, String language) {
    for (CudaCounters step : steady(train(gpus, vision, language, true))) {
      assertThat(step.hostSynchronizations()).as("waits of a recorded step, %s", name).isZero();
      assertThat(step.trailingWaits()).as("waits for the step before, %s", name).isLessThan(2);
      assertThat(step.deviceAllocations()).as("allocations of a recorded step, %s", name).isZero();
      assertThat(step.graphLaunches()).as("graphs of a recorded step, %s", name).isPositive();
    }
  }

  /** Between the last two reports no step is begun any more. */
  private static List<CudaCounters> steady(List<CudaCounters> steps) {
    return steps.subList(FIRST_STEADY, STEPS - 1);
  }

  /** What each step asked of the GPU of rank 0. */
  private List<CudaCounters> train(int gpus, String vision, String language, boolean graph) {
    List<String> sets = new ArrayList<>(SimulatedTrainingTest.SMALL);
    sets.add("model.language.layers=2");
    sets.add("train.microBatches=2");
    sets.add("parallel.ranks=" + gpus);
    sets.add("parallel.vision=" + vision);
    sets.add("parallel.language=" + language);
    sets.add("output='" + folder.resolve("run") + "'");
    RunConfig config =
        ConfigLoader.load(
            SimulatedTrainingTest.EXAMPLE, sets.stream().map(ConfigOverride::set).toList());
    List<CudaCounters> after = new ArrayList<>();
    try (SimulatedGpus machine = SimulatedGpus.install(gpus, SimulatedOptions.lazily());
        NativeLibrary.Substitution cublas = SimulatedCublas.install();
        SimulatedNccl nccl = SimulatedNccl.install()) {
      CountedTraining.train(config, STEPS, graph, after::add);
      assertThat(nccl.complaints()).isEmpty();
      assertThat(machine.complaints()).isEmpty();
    }
    assertThat(after).hasSize(STEPS);
    List<CudaCounters> steps = new ArrayList<>(List.of(after.getFirst()));
    for (int i = 1; i < after.size(); i++) {
      steps.add(after.get(i).since(after.get(i - 1)));
    }
    return steps;
  }
}
