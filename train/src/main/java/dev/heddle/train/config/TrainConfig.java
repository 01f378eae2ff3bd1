package dev.heddle.train.config;

/**
 * The optimisation.
 *
 * @param steps optimizer steps; the cosine schedule ends here
 * @param globalBatch samples a step over all ranks
 * @param microBatches consecutive parts that the samples of a step are cut into
 * @param learningRate the highest learning rate
 * @param warmupSteps steps of linear warm-up; may be more than {@code steps}
 * @param weightDecay decoupled weight decay
 * @param clipNorm largest global gradient norm; infinity does not clip
 */
public record TrainConfig(
    int steps,
    int globalBatch,
    int microBatches,
    double learningRate,
    int warmupSteps,
    double weightDecay,
    double clipNorm) {

  /** The same with another length. */
  public TrainConfig withSteps(int length) {
    return new TrainConfig(
        length, globalBatch, microBatches, learningRate, warmupSteps, weightDecay, clipNorm);
  }
}
