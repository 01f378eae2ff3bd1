package dev.heddle.simulated.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.KernelTraffic;
import dev.heddle.runtime.cuda.PaperCounters;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedCounters;
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
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PaperStepTest {
  @TempDir private Path folder;

  @Test
  void show() {
    List<String> sets = new ArrayList<>(SimulatedTrainingTest.SMALL);
    sets.addAll(SimulatedTrainingTest.ONE_RANK);
    sets.add("output='" + folder.resolve("run") + "'");
    RunConfig config =
        ConfigLoader.load(
            SimulatedTrainingTest.EXAMPLE, sets.stream().map(ConfigOverride::set).toList());
    PaperCounters paper = PaperTraining.step(config, 0);
    List<Map<String, KernelTraffic>> seen = new ArrayList<>();
    List<CudaCounters> devices = new ArrayList<>();
    SimulatedOptions options =
        SimulatedOptions.lazily().withExecution(Launch.Options.DEFAULT.withTraffic(true));
    long start = System.nanoTime();
    try (SimulatedGpus machine = SimulatedGpus.install(1, options);
        NativeLibrary.Substitution cublas = SimulatedCublas.install()) {
      CountedTraining.train(
          config,
          3,
          counters -> {
            devices.add(counters);
            seen.add(machine.counters().traffic());
          });
    }
    System.out.println("seconds " + (System.nanoTime() - start) * 1e-9);
    Map<String, KernelTraffic> step = new TreeMap<>();
    seen.get(2).forEach((n, t) -> step.put(n, t.since(seen.get(1).getOrDefault(n, KernelTraffic.NONE))));
    System.out.println(paper.device());
    System.out.println(devices.get(2).since(devices.get(1)));
    for (String n : step.keySet()) {
      KernelTraffic p = paper.kernels().getOrDefault(n, KernelTraffic.NONE);
      KernelTraffic s = step.get(n);
      System.out.println((p.equals(s) ? "   " : "!! ") + n + " sim " + s + " paper " + p);
    }
    for (String n : paper.kernels().keySet()) if (!step.containsKey(n)) System.out.println("?? " + n);
  }
}
