package dev.heddle.runtime.cpu;

import dev.heddle.runtime.AdamWStep;

/**
 * The numbers of an optimizer's step as the loops over elements use them, F32 and formed once for
 * all tensors. Both corrections are moved out of the loops: {@code w = keep w - rate m / (sqrt(v)
 * root + epsilon)}.
 *
 * @param scale what gradients are multiplied by first
 * @param beta1 what is kept of the first moment
 * @param beta2 what is kept of the second moment
 * @param rest1 1 - beta1
 * @param rest2 1 - beta2
 * @param root one by the square root of the second moment's correction
 * @param rate the learning rate by the first moment's correction
 * @param epsilon what is added to the denominator
 * @param keep what the weight decay leaves of a weight
 */
record AdamWNumbers(
    float scale,
    float beta1,
    float beta2,
    float rest1,
    float rest2,
    float root,
    float rate,
    float epsilon,
    float keep) {
  static AdamWNumbers of(AdamWStep step) {
    return new AdamWNumbers(
        (float) step.gradientScale(),
        (float) step.beta1(),
        (float) step.beta2(),
        (float) (1 - step.beta1()),
        (float) (1 - step.beta2()),
        (float) (1 / Math.sqrt(step.correction2())),
        (float) (step.learningRate() / step.correction1()),
        (float) step.epsilon(),
        (float) (1 - step.learningRate() * step.weightDecay()));
  }
}
