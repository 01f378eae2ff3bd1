package dev.heddle.train.run;

import dev.heddle.runtime.cuda.PaperCounters;
import dev.heddle.train.config.RunConfig;

/** A training step on paper, for tests of other packages. */
public final class PaperTraining {
  private PaperTraining() {}

  /** What a steady step of rank {@code rank} would ask of its GPU. */
  public static PaperCounters step(RunConfig config, int rank) {
    return StepForecast.of(config, TrainingData.open(config), rank);
  }
}
