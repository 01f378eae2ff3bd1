package dev.heddle.simulated.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.KernelTraffic;
import dev.heddle.runtime.cuda.PaperCounters;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.run.CountedTraining;
import dev.heddle.train.run.PaperTraining;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A step that is counted on paper is the step that a simulated GPU sees: the same launches of the
 * same kernels, and the same bytes, of which the simulated GPU looks at each that an instruction
 * touches. So figures of models that are too large to be simulated can be believed.
 */
class PaperStepTest {
  /** Kernels that pass over rows because of values, which paper does not have. */
  private static final List<String> BY_VALUES =
      List.of(
          "heddle_movement_gather_",
          "heddle_scatter_add_rows_",
          "heddle_softmax_cross_entropy_backward_");

  @TempDir private Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"f32", "bf16"})
  void step_onPaper_isThatOfASimulatedGpu(String dtype) {
    RunConfig config = config(dtype);
    PaperCounters paper = PaperTraining.step(config).counters();
    List<CudaCounters> devices = new ArrayList<>();
    List<Map<String, KernelTraffic>> kernels = new ArrayList<>();
    SimulatedOptions options =
        SimulatedOptions.lazily().withExecution(Launch.Options.DEFAULT.withTraffic(true));
    try (SimulatedGpus machine = SimulatedGpus.install(1, options);
        NativeLibrary.Substitution cublas = SimulatedCublas.install()) {
      CountedTraining.train(
          config,
          3,
          false,
          counters -> {
            devices.add(counters);
            kernels.add(machine.counters().traffic());
          });
    }

    // Between these two reports the third step was begun and the second one awaited.
    assertThat(paper.device()).isEqualTo(devices.get(1).since(devices.get(0)));
    Map<String, KernelTraffic> simulated = since(kernels.get(1), kernels.get(0));
    assertThat(paper.kernels().keySet()).isEqualTo(simulated.keySet());
    paper
        .kernels()
        .forEach(
            (name, onPaper) -> {
              KernelTraffic seen = simulated.getOrDefault(name, KernelTraffic.NONE);
              if (BY_VALUES.stream().anyMatch(name::startsWith)) {
                assertThat(seen.launches()).as(name).isEqualTo(onPaper.launches());
                assertThat(seen.bytesRead()).as(name).isBetween(1L, onPaper.bytesRead());
                assertThat(seen.bytesWritten()).as(name).isBetween(1L, onPaper.bytesWritten());
              } else {
                assertThat(seen).as(name).isEqualTo(onPaper);
              }
            });
  }

  private static Map<String, KernelTraffic> since(
      Map<String, KernelTraffic> now, Map<String, KernelTraffic> before) {
    Map<String, KernelTraffic> step = new TreeMap<>();
    now.forEach(
        (name, traffic) -> {
          KernelTraffic ran = traffic.since(before.getOrDefault(name, KernelTraffic.NONE));
          if (ran.launches() > 0) {
            step.put(name, ran);
          }
        });
    return step;
  }

  private RunConfig config(String dtype) {
    List<String> sets = new ArrayList<>(SimulatedTrainingTest.SMALL);
    sets.addAll(SimulatedTrainingTest.ONE_RANK);
    sets.add("dtype=" + dtype);
    // An adaptive scale: paper takes the end of a step at its most, where it counts finite steps.
    sets.add("train.lossScale=0");
    sets.add("output='" + folder.resolve("run") + "'");
    return ConfigLoader.load(
        SimulatedTrainingTest.EXAMPLE, sets.stream().map(ConfigOverride::set).toList());
  }
}
