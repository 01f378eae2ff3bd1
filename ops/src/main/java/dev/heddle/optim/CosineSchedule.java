package dev.heddle.optim;

/**
 * A learning rate that rises linearly to its peak over the warm-up, then falls to its floor along
 * half a cosine (Loshchilov and Hutter, "SGDR", ICLR 2017).
 *
 * @param peak the largest rate, that of step {@code warmupSteps}
 * @param floor the rate of the last step and all after it
 * @param warmupSteps steps of the rise; 0 for none
 * @param totalSteps steps of rise and fall
 */
public record CosineSchedule(double peak, double floor, long warmupSteps, long totalSteps) {
  /** Refuses a warm-up that is negative or longer than the run. */
  public CosineSchedule {
    if (warmupSteps < 0 || totalSteps < warmupSteps) {
      throw new IllegalArgumentException(
          "CosineSchedule: " + warmupSteps + " warm-up steps of " + totalSteps
              + "; wanted 0 up to all steps");
    }
  }

  /** The rate of {@code step}, counted from 1. */
  public double at(long step) {
    if (step < 1) {
      throw new IllegalArgumentException("CosineSchedule: step " + step + "; steps start at 1");
    }
    if (step < warmupSteps) {
      return peak * step / warmupSteps;
    }
    if (step >= totalSteps) {
      return totalSteps == warmupSteps && step == totalSteps ? peak : floor;
    }
    double progress = (double) (step - warmupSteps) / (totalSteps - warmupSteps);
    return floor + (peak - floor) * 0.5 * (1 + Math.cos(Math.PI * progress));
  }
}
