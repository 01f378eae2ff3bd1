package dev.heddle.train.run;

import dev.heddle.parallel.pipeline.Schedule;
import dev.heddle.runtime.cuda.PaperCounters;
import dev.heddle.train.config.RunConfig;

/** A training step on paper, for tests of other packages. */
public final class PaperTraining {
  private PaperTraining() {}

  /**
   * A step.
   *
   * @param counters what it asks of its GPU
   * @param leastBytes the fewest bytes that it moves
   */
  public record Step(PaperCounters counters, long leastBytes) {}

  /** A steady step of the only rank of {@code config}. */
  public static Step step(RunConfig config) {
    TrainingData data = TrainingData.open(config);
    Schedule schedule =
        data.graph().schedule(config.parallel().schedule(), config.train().microBatches());
    RankStep step = new StepForecast(config, data, schedule).of(0);
    return new Step(step.counters(), step.least().total());
  }
}
