package dev.heddle.optim;

/**
 * Learning rate by step: a straight warm-up from 0, then half a cosine down (Loshchilov and Hutter,
 * "SGDR", 2017).
 *
 * @param peak the highest rate, reached at the end of the warm-up
 * @param warmupSteps steps of warm-up, 0 for none
 * @param totalSteps the step at which the floor is reached
 * @param floor the lowest rate after the warm-up
 */
public record CosineSchedule(double peak, long warmupSteps, long totalSteps, double floor) {
  /** The rate of step {@code step}, counted from 1. */
  public double at(long step) {
    if (step < 1) {
      throw new IllegalArgumentException("CosineSchedule: step " + step + "; steps start at 1");
    }
    if (step <= warmupSteps) {
      return peak * step / warmupSteps;
    }
    long falling = Math.max(1, totalSteps - warmupSteps);
    double progress = Math.min(1, (step - warmupSteps) / (double) falling);
    return floor + (peak - floor) * 0.5 * (1 + Math.cos(Math.PI * progress));
  }
}
