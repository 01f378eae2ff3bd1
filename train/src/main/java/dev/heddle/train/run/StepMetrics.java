package dev.heddle.train.run;

/**
 * What is recorded of a training step.
 *
 * @param step the step, from 1
 * @param loss mean over the valid tokens of the global batch
 * @param tokens valid text tokens of the global batch
 * @param gradientNorm norm over all components before clipping
 * @param learningRate the step's learning rate
 * @param seconds wall time of the step, loading included
 * @param peakBytes the most device memory in use at once so far, the largest over ranks
 * @param skipped whether the update was left out because the gradient was not finite
 */
public record StepMetrics(
    long step,
    double loss,
    long tokens,
    double gradientNorm,
    double learningRate,
    double seconds,
    long peakBytes,
    boolean skipped) {
  /** Valid text tokens a second. */
  public double tokensPerSecond() {
    return tokens / seconds;
  }
}
