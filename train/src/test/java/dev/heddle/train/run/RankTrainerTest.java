package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.config.DataConfig;
import dev.heddle.train.config.ParallelConfig;
import dev.heddle.train.config.ParallelConfig.Placement;
import dev.heddle.train.config.RankSet;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.config.TrainConfig;
import dev.heddle.train.config.TrainConfig.ComponentTraining;
import dev.heddle.train.report.StepMetrics;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RankTrainerTest {
  @TempDir Path folder;

  @Test
  void realData_trainUnderEveryLayoutAsOnOneRank() {
    RunConfig single = TinyRun.config(folder, TinyRun.ONE_RANK);
    TrainingData data = TinyRun.data(single);
    List<StepMetrics> control = TinyRun.train(single, data, null, TinyRun.STEPS);
    for (ParallelConfig layout : List.of(TinyRun.DP2_TP2, TinyRun.TP2_DP2, TinyRun.TP3_APART_DP2)) {
      List<StepMetrics> steps =
          TinyRun.train(single.withParallel(layout), data, null, TinyRun.STEPS);
      for (int i = 0; i < control.size(); i++) {
        StepMetrics expected = control.get(i);
        assertThat(steps.get(i).tokens()).isEqualTo(expected.tokens());
        assertThat(steps.get(i).loss())
            .as("%s, step %d", layout, i + 1)
            .isCloseTo(expected.loss(), within(1e-9));
        assertThat(steps.get(i).gradNorm())
            .isCloseTo(expected.gradNorm(), within(1e-9 * expected.gradNorm()));
      }
    }
    assertThat(control.getLast().loss()).isLessThan(control.getFirst().loss());
    assertThat(control).allSatisfy(step -> assertThat(step.peakBytes()).isPositive());
  }

  private static RunConfig trained(
      RunConfig config, double lossScale, Map<String, ComponentTraining> components) {
    TrainConfig train = config.train();
    return TinyRun.with(
        config,
        new TrainConfig(
            train.steps(),
            train.globalBatch(),
            train.microBatches(),
            train.learningRate(),
            train.warmupSteps(),
            train.weightDecay(),
            train.clipNorm(),
            lossScale,
            components));
  }

  private static List<Double> losses(List<StepMetrics> steps) {
    return steps.stream().map(StepMetrics::loss).toList();
  }

  @Test
  void trainingOfEachComponent_isAsConfigured_underADividedOptimizerToo() {
    RunConfig single = TinyRun.config(folder, TinyRun.ONE_RANK);
    TrainingData data = TinyRun.data(single);
    List<Double> usual = losses(TinyRun.train(single, data, null, TinyRun.STEPS));
    for (Map<String, ComponentTraining> components :
        List.of(
            Map.of("vision", new ComponentTraining(null, true)),
            Map.of("language", new ComponentTraining(null, true)),
            Map.of("vision", new ComponentTraining(1e-4, false)),
            Map.of(
                "vision",
                new ComponentTraining(0.1, false),
                "language",
                new ComponentTraining(1e-3, false)))) {
      RunConfig config = trained(single, 1, components);
      List<Double> control = losses(TinyRun.train(config, data, null, TinyRun.STEPS));
      assertThat(control.getFirst()).isEqualTo(usual.getFirst());
      assertThat(control.getLast()).as("%s", components).isNotEqualTo(usual.getLast());
      List<Double> spread =
          losses(
              TinyRun.train(
                  config.withParallel(TinyRun.DIVIDED_TP2DP2_DP3), data, null, TinyRun.STEPS));
      for (int i = 0; i < control.size(); i++) {
        assertThat(spread.get(i))
            .as("%s, step %d", components, i + 1)
            .isCloseTo(control.get(i), within(1e-9));
      }
    }
  }

  @Test
  void lossScale_fixedOrAdaptive_changesNothingWhereNothingOverflows() {
    RunConfig config = TinyRun.config(folder, TinyRun.DIVIDED_DP2_TP2);
    TrainingData data = TinyRun.data(config);
    List<Double> plain = losses(TinyRun.train(config, data, null, TinyRun.STEPS));
    for (double scale : new double[] {0, 64}) {
      RunConfig scaled = trained(config, scale, Map.of());
      assertThat(losses(TinyRun.train(scaled, data, null, TinyRun.STEPS)))
          .as("scale %s", scale)
          .isEqualTo(plain);
      try (Checkpoint checkpoint = TinyRun.newest(scaled)) {
        assertThat(checkpoint.attribute(ModelCheckpoint.LOSS_SCALE).isPresent())
            .isEqualTo(scale == 0);
      }
    }
  }

  @Test
  void threeComponents_trainUnderEveryPlacementAsOnOneRank() {
    RunConfig twoComponents = TinyRun.config(folder, TinyRun.ONE_RANK);
    RunConfig single = TinyRun.hearing(twoComponents, TinyRun.placement(0, 1, 1));
    TrainingData data = TinyRun.data(single);
    List<StepMetrics> control = TinyRun.train(single, data, null, TinyRun.STEPS);
    List<RunConfig> placed =
        List.of(
            // On a rank of its own, on those of the others, on some of them, divided otherwise.
            TinyRun.hearing(
                twoComponents.withParallel(TinyRun.DP2_TP2), TinyRun.placement(2, 1, 1)),
            TinyRun.hearing(
                twoComponents.withParallel(TinyRun.DP2_TP2), TinyRun.placement(0, 2, 1)),
            TinyRun.hearing(
                twoComponents.withParallel(TinyRun.TP2_DP2), TinyRun.placement(1, 1, 2)),
            TinyRun.hearing(
                twoComponents.withParallel(TinyRun.TP3_APART_DP2), TinyRun.placement(4, 2, 2)));
    for (RunConfig config : placed) {
      List<StepMetrics> steps = TinyRun.train(config, data, null, TinyRun.STEPS);
      for (int i = 0; i < control.size(); i++) {
        StepMetrics expected = control.get(i);
        assertThat(steps.get(i).loss())
            .as("%s, step %d", config.parallel(), i + 1)
            .isCloseTo(expected.loss(), within(1e-9));
        assertThat(steps.get(i).gradNorm())
            .as("%s, step %d", config.parallel(), i + 1)
            .isCloseTo(expected.gradNorm(), within(1e-9 * expected.gradNorm()));
      }
    }
    List<StepMetrics> deaf = TinyRun.train(twoComponents, data, null, 1);
    assertThat(control.getFirst().loss()).isNotCloseTo(deaf.getFirst().loss(), within(1e-6));
  }

  @Test
  void realData_packedAndPartlyWithoutPictures_trainUnderEveryLayoutAsOnOneRank() {
    RunConfig plain = TinyRun.config(folder, TinyRun.ONE_RANK);
    DataConfig data = plain.data();
    RunConfig single =
        with(plain, new DataConfig(data.kind(), data.holdOut(), data.path(), 0.5, true));
    TrainingData loaded = TinyRun.data(single);
    List<StepMetrics> control = TinyRun.train(single, loaded, null, TinyRun.STEPS);
    RunConfig padded =
        with(plain, new DataConfig(data.kind(), data.holdOut(), data.path(), 0.5, false));
    assertSameCurve(control, TinyRun.train(padded, loaded, null, TinyRun.STEPS), "padded");
    Placement vision = TinyRun.placement(0, 1, 2);
    for (Placement language :
        List.of(
            new Placement(RankSet.range(0, 2), 1, 2, 1, 1),
            new Placement(RankSet.range(1, 4), 1, 2, 2, 1))) {
      ParallelConfig layout = TinyRun.layout(vision, language);
      assertSameCurve(
          control,
          TinyRun.train(single.withParallel(layout), loaded, null, TinyRun.STEPS),
          layout.toString());
    }
    List<StepMetrics> pictures = TinyRun.train(plain, TinyRun.data(plain), null, 2);
    assertThat(pictures.getFirst().loss()).isNotEqualTo(control.getFirst().loss());
  }

  private static RunConfig with(RunConfig config, DataConfig data) {
    return new RunConfig(
        config.seed(),
        config.output(),
        config.dtype(),
        data,
        config.model(),
        config.parallel(),
        config.train());
  }

  private static void assertSameCurve(
      List<StepMetrics> control, List<StepMetrics> steps, String what) {
    for (int i = 0; i < control.size(); i++) {
      assertThat(steps.get(i).tokens()).as(what).isEqualTo(control.get(i).tokens());
      assertThat(steps.get(i).loss())
          .as("%s, step %d", what, i + 1)
          .isCloseTo(control.get(i).loss(), within(1e-9));
    }
  }

  @Test
  void steadyTraining_takesNoMemoryFromTheSystem_loadingIncluded() {
    RunConfig config = TinyRun.config(folder, TinyRun.DP2_TP2);
    TrainingData data = TinyRun.data(config);
    int ranks = config.parallel().ranks();
    AtomicReferenceArray<CpuDevice> devices = new AtomicReferenceArray<>(ranks);
    List<List<Long>> allocations = new ArrayList<>();
    LocalWorld.run(
        ranks,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.BEST),
            (world, device) -> {
              devices.set(world.rank(), device);
              world.barrier();
              TrainingListener listener =
                  metrics -> {
                    List<Long> now = new ArrayList<>();
                    for (int rank = 0; rank < ranks; rank++) {
                      now.add(devices.get(rank).memory().systemAllocations());
                    }
                    allocations.add(now);
                  };
              new RankTrainer(config, data, world, device, false, listener)
                  .run(null, TinyRun.STEPS);
            }));
    // Rank 1 may be a step ahead of rank 0's listener, never behind it.
    assertThat(allocations).hasSize(TinyRun.STEPS);
    assertThat(allocations.subList(3, TinyRun.STEPS)).containsOnly(allocations.get(3));
  }

  @Test
  void listenerThatThrows_stopsTheRun() {
    RunConfig config = TinyRun.config(folder, TinyRun.DP2_TP2);
    TrainingData data = TinyRun.data(config);
    assertThatThrownBy(
            () ->
                new TrainingRun(config, data)
                    .train(
                        null,
                        TinyRun.STEPS,
                        metrics -> {
                          if (metrics.step() == 2) {
                            throw new IllegalStateException("the disk is full");
                          }
                        }))
        .isInstanceOf(RankFailedException.class)
        .hasMessageContaining("rank 0")
        .hasRootCauseMessage("the disk is full");
  }
}
