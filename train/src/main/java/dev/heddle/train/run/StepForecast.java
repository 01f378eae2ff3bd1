package dev.heddle.train.run;

import dev.heddle.parallel.component.ComponentOptimizer;
import dev.heddle.parallel.component.ComponentProgram;
import dev.heddle.parallel.component.LossScaler;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.component.ModelRunner;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cuda.PaperCounters;
import dev.heddle.runtime.cuda.PaperGpu;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * What a steady training step of one rank would ask of its GPU, counted without one: the rank's own
 * programs, optimizers and runner take a step on a {@link PaperGpu} in a world of which only this
 * rank exists. What a communicator does on the GPU is not counted.
 */
final class StepForecast {
  private StepForecast() {}

  /**
   * The second of two equal steps: what the first one allocates is there, as in all that follow.
   *
   * @param rank the rank whose step is counted
   */
  static RankStep of(RunConfig config, TrainingData data, int rank) {
    StepPlan plan = new StepPlan(config, data);
    int microBatches = config.train().microBatches();
    List<List<Sample>> samples =
        IntStream.range(0, microBatches).mapToObj(i -> plan.samples(1, i)).toList();
    List<FusedBatch> batches = samples.stream().map(plan::batch).toList();
    DType dtype = DTypes.of(config.dtype());
    ModelGraph graph = data.graph();
    PaperGroup world =
        PaperGroup.world(IntStream.range(0, config.parallel().ranks()).boxed().toList(), rank);
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
              world,
              graph,
              graph.schedule(config.parallel().schedule(), microBatches),
              gpu,
              dtype,
              programs,
              optimizers,
              LossScaler.adaptive());
      BlankSamples blank = new BlankSamples(config, data, plan);
      PaperCounters before = gpu.counters();
      for (int step = 0; step < 2; step++) {
        before = gpu.counters();
        programs.forEach((name, program) -> blank.stage(program, name, rank, samples));
        runner.step(
            (boundary, microBatch) ->
                CaptionModel.rows(
                    config.parallel(), batches.get(microBatch), graph.boundary(boundary).source()),
            new ModelRunner.Update(config.train().learningRate(), config.train().clipNorm()));
      }
      return new RankStep(
          gpu.counters().since(before),
          LeastTraffic.of(config, data, rank, samples, programs, optimizers));
    }
  }
}
