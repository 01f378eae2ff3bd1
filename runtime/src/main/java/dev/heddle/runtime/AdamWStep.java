package dev.heddle.runtime;

/**
 * The numbers of one AdamW step (Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
 * ICLR 2019). With g the gradient times {@code gradientScale} and t the step from 1:
 *
 * <pre>
 *   m = beta1 m + (1 - beta1) g          v = beta2 v + (1 - beta2) g²
 *   w = w - learningRate (weightDecay w + (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon))
 * </pre>
 *
 * @param learningRate step size
 * @param beta1 decay of the first moment
 * @param beta2 decay of the second moment
 * @param epsilon added to the denominator
 * @param weightDecay decoupled decay, 0 for none
 * @param step t, from 1
 * @param gradientScale what the stored gradient is multiplied by first: 1/N and clipping
 */
public record AdamWStep(
    double learningRate,
    double beta1,
    double beta2,
    double epsilon,
    double weightDecay,
    long step,
    double gradientScale) {
  /** 1 - beta1^t. */
  public double correction1() {
    return 1 - Math.pow(beta1, step);
  }

  /** 1 - beta2^t. */
  public double correction2() {
    return 1 - Math.pow(beta2, step);
  }

  /** The same numbers without weight decay. */
  public AdamWStep withoutDecay() {
    return new AdamWStep(learningRate, beta1, beta2, epsilon, 0, step, gradientScale);
  }

  /** The same constants with the numbers of an {@link StepControl update} and another decay. */
  public AdamWStep with(double[] update, double decay) {
    return new AdamWStep(
        update[StepControl.RATE],
        beta1,
        beta2,
        epsilon,
        decay,
        (long) update[StepControl.STEP],
        update[StepControl.GRADIENT_SCALE]);
  }
}
