package dev.heddle.train.run;

import dev.heddle.parallel.component.BoundarySpec;
import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.LossScaler;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.component.ModelRunner;
import dev.heddle.parallel.component.PendingStep;
import dev.heddle.parallel.layout.RowPlacement;
import dev.heddle.parallel.pipeline.Schedule;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cuda.PaperCounters;
import dev.heddle.runtime.cuda.PaperGpu;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * What a steady training step of one rank would ask of its GPU, counted without one: the rank's own
 * programs, optimizers and runner take a step on a {@link PaperGpu} in a world of which only this
 * rank exists. What a communicator does on the GPU is not counted.
 */
final class StepForecast {
  private final RunConfig config;
  private final TrainingData data;
  private final ModelGraph graph;
  private final Schedule schedule;
  private final StepPlan plan;
  private final List<List<Sample>> samples;
  private final List<FusedBatch> batches;
  private final List<Integer> ranks;

  /**
   * A forecast of a run's ranks.
   *
   * @param schedule what every rank does in a step, checked
   */
  StepForecast(RunConfig config, TrainingData data, Schedule schedule) {
    this.config = config;
    this.data = data;
    this.graph = planningOnce(data.graph());
    this.schedule = schedule;
    this.plan = new StepPlan(config, data);
    this.samples =
        IntStream.range(0, config.train().microBatches())
            .mapToObj(i -> plan.samples(1, i))
            .toList();
    this.batches = samples.stream().map(plan::batch).toList();
    this.ranks = IntStream.range(0, config.parallel().ranks()).boxed().toList();
  }

  /** The same graph, whose boundaries keep their plans from rank to rank: they are of all ranks. */
  private static ModelGraph planningOnce(ModelGraph graph) {
    List<BoundarySpec> boundaries = new ArrayList<>();
    for (BoundarySpec spec : graph.boundaries()) {
      Map<RowPlacement, BoundaryPlan> kept = new HashMap<>();
      boundaries.add(
          new BoundarySpec(
              spec.source(),
              spec.destination(),
              spec.features(),
              spec.gradients(),
              rows -> kept.computeIfAbsent(rows, spec.plan())));
    }
    return new ModelGraph(graph.components(), boundaries).withFrozen(graph.frozen());
  }

  /**
   * The second of two equal steps of a rank: what the first allocates is there, as in all later. As
   * in {@link RankTrainer} a step is begun before the one before it is awaited.
   */
  RankStep of(int rank) {
    DType dtype = DTypes.of(config.dtype());
    PaperGroup world = PaperGroup.world(ranks, rank);
    try (PaperGpu gpu = PaperGpu.open();
        MemoryScope scope = MemoryScope.open()) {
      Map<String, ComponentProgram> programs =
          CaptionModel.programs(
              config.model(),
              config.parallel(),
              data.tokenizer().vocabularySize(),
              graph,
              world,
              gpu,
              dtype,
              config.seed());
      Map<String, ComponentOptimizer> optimizers =
          RankTrainer.optimizers(config, world, graph, programs);
      ModelRunner runner =
          new ModelRunner(
              world, graph, schedule, gpu, dtype, programs, optimizers, LossScaler.adaptive());
      BlankSamples blank = new BlankSamples(config, data, plan);
      PendingStep first = begin(runner, blank, programs, rank);
      PaperCounters before = gpu.counters();
      PendingStep second = begin(runner, blank, programs, rank);
      first.await();
      PaperCounters steady = gpu.counters().since(before);
      second.await();
      return new RankStep(
          steady, LeastTraffic.of(config, data, rank, samples, programs, optimizers));
    }
  }

  private PendingStep begin(
      ModelRunner runner, BlankSamples blank, Map<String, ComponentProgram> programs, int rank) {
    programs.forEach((name, program) -> blank.stage(program, name, rank, samples));
    return runner.begin(
        (boundary, microBatch) ->
            CaptionModel.rows(
                config.parallel(), batches.get(microBatch), graph.boundary(boundary).source()),
        new ModelRunner.Update(config.train().learningRate(), config.train().clipNorm()));
  }
}
