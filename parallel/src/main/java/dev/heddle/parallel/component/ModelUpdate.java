package dev.heddle.parallel.component;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import java.util.Collection;
import java.util.Map;

/**
 * The end of a training step, over all components and ranks at once: one N, one sum of losses, one
 * norm, one scale for every component. Whether the step is finite is agreed on by all ranks before
 * anything is changed; a step that is not is skipped by all of them.
 */
final class ModelUpdate {
  private final Communicator world;
  private final Collection<? extends ComponentProgram> programs;
  private final Map<String, ComponentOptimizer> optimizers;
  private final LossScaler scaler;

  /**
   * The update of this rank's part of the model.
   *
   * @param programs what this rank runs
   * @param optimizers the components' optimizers on this rank, by name
   */
  ModelUpdate(
      Communicator world,
      Collection<? extends ComponentProgram> programs,
      Map<String, ComponentOptimizer> optimizers,
      LossScaler scaler) {
    this.world = world;
    this.programs = programs;
    this.optimizers = optimizers;
    this.scaler = scaler;
  }

  /** What backward starts from at a loss. */
  double lossScale() {
    return scaler.scale();
  }

  /**
   * Agrees with all ranks and updates; every rank calls it, also one that runs no component.
   *
   * @param numbers this rank's contribution to the sum of the losses, not scaled
   * @param tokens its contribution to the number of valid tokens
   */
  StepResult step(StepNumbers numbers, long tokens, ModelRunner.Update update) {
    for (ComponentOptimizer optimizer : optimizers.values()) {
      optimizer.squares(numbers);
    }
    double[] mine = numbers.read();
    double[] sums = {mine[0], tokens, mine[1]};
    world.allReduce(sums, ReduceOp.SUM);
    double count = Math.max(1, sums[1]);
    double scale = 1 / (count * scaler.scale());
    double norm = Math.sqrt(sums[2]) * scale;
    boolean finite = Double.isFinite(norm) && Double.isFinite(sums[0]);
    if (finite) {
      double clip = norm > update.clipNorm() ? update.clipNorm() / norm : 1;
      optimizers.forEach(
          (component, optimizer) ->
              optimizer.step(update.learningRate().applyAsDouble(component), clip * scale));
    }
    scaler.stepDone(finite);
    for (ComponentProgram program : programs) {
      // Also those of parameters that no optimizer updates: they would add up from step to step.
      program.parameters().stream()
          .filter(parameter -> parameter.tensor().requiresGradient())
          .forEach(parameter -> parameter.tensor().clearGradient());
    }
    return new StepResult(sums[0] / count, (long) sums[1], norm, !finite);
  }
}
