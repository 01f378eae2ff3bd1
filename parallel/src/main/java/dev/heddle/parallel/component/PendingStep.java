package dev.heddle.parallel.component;

import dev.heddle.runtime.HostCopy;

/**
 * A step that has been given to the devices; see {@link ModelRunner#begin}. Steps are awaited in
 * the order in which they were begun.
 */
public final class PendingStep {
  private final ModelUpdate update;
  private final HostCopy numbers;

  PendingStep(ModelUpdate update, HostCopy numbers) {
    this.update = update;
    this.numbers = numbers;
  }

  /** Whether {@link #await} would return at once. */
  public boolean isDone() {
    return numbers.isDone();
  }

  /** What the step came to, waiting for this rank's device if it is not done; called once. */
  public StepResult await() {
    return update.result(numbers.await());
  }
}
