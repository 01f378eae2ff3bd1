package dev.heddle.train.config;

import java.nio.file.Path;

/**
 * Everything that a training run is told: what {@link ConfigLoader} reads and {@link ConfigWriter}
 * writes. A value that came out of the loader has passed every check.
 *
 * @param seed the seed of every random stream, not negative
 * @param output the folder of the run: metrics, checkpoints, report; what {@code --resume} takes
 * @param dtype the number format
 * @param data the data set
 * @param model the sizes of the components
 * @param parallel where each component runs
 * @param train the optimisation
 */
public record RunConfig(
    long seed,
    Path output,
    Precision dtype,
    DataConfig data,
    ModelConfig model,
    ParallelConfig parallel,
    TrainConfig train) {

  /** The same run with another length. */
  public RunConfig withSteps(int steps) {
    return new RunConfig(seed, output, dtype, data, model, parallel, train.withSteps(steps));
  }

  /** The same run written elsewhere. */
  public RunConfig withOutput(Path folder) {
    return new RunConfig(seed, folder, dtype, data, model, parallel, train);
  }

  /** The same run under another layout. */
  public RunConfig withParallel(ParallelConfig layout) {
    return new RunConfig(seed, output, dtype, data, model, layout, train);
  }
}
