package dev.heddle.parallel.component;

/**
 * What a training step came to; the same on every rank.
 *
 * @param loss mean over the valid tokens of the global batch
 * @param tokens N, the valid tokens of the global batch
 * @param gradientNorm the norm of the gradient of the mean loss over all components, before
 *     clipping, each parameter counted once
 * @param skipped whether the update was left out because the gradient was not finite
 */
public record StepResult(double loss, long tokens, double gradientNorm, boolean skipped) {}
