package dev.heddle.parallel.component;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.StepControl;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The end of a training step, over all components and ranks at once: one N, one sum of losses, one
 * norm, one scale for every component. Whether the step is finite is agreed on by all ranks before
 * anything is changed; a step that is not is skipped by all of them.
 *
 * <p>All of it happens on the device, by the rule of {@link StepControl}; the host has a copy of
 * the numbers, which it brings up to date when it reads a step's result. Memory belongs to the
 * scope that is open when this is made.
 */
final class ModelUpdate {
  private final Communicator world;
  private final Device device;
  private final Collection<? extends ComponentProgram> programs;
  private final List<Map.Entry<String, ComponentOptimizer>> optimizers;
  private final LossScaler scaler;
  private final StepNumbers numbers;

  /** On the device, from step to step. */
  private final NDArray state;

  /** What the device's state is known to be, as far as the host may set it; null before a step. */
  private double @Nullable [] known;

  private int underWay;

  /**
   * The update of this rank's part of the model.
   *
   * @param programs what this rank runs
   * @param optimizers the components' optimizers on this rank, by name
   */
  ModelUpdate(
      Communicator world,
      Device device,
      Collection<? extends ComponentProgram> programs,
      Map<String, ComponentOptimizer> optimizers,
      LossScaler scaler) {
    this.world = world;
    this.device = device;
    this.programs = programs;
    this.optimizers = List.copyOf(optimizers.entrySet());
    this.scaler = scaler;
    this.numbers = new StepNumbers(device, this.optimizers.size());
    this.state =
        NDArray.zeros(device, DType.F64, Shape.of(StepControl.stateLength(this.optimizers.size())));
  }

  /** What the step under way brings. */
  StepNumbers numbers() {
    return numbers;
  }

  /** What backward starts from at a loss, one element of F64 on the device. */
  NDArray lossScale() {
    return state.slice(0, StepControl.SCALE, StepControl.SCALE + 1);
  }

  /**
   * Begins a step with what the host says of it.
   *
   * @param tokens this rank's contribution to the number of valid tokens
   */
  void begin(ModelRunner.Update update, long tokens) {
    double[] control = new double[StepControl.controlLength(optimizers.size())];
    control[StepControl.TOKENS] = tokens;
    control[StepControl.CLIP_NORM] = update.clipNorm();
    control[StepControl.PATIENCE] = scaler.patience();
    for (int i = 0; i < optimizers.size(); i++) {
      control[StepControl.FIRST_RATE + i] =
          update.learningRate().applyAsDouble(optimizers.get(i).getKey());
    }
    numbers.begin(control);
    if (underWay == 0) {
      writeState();
    }
    underWay++;
  }

  /** Tells the device where the host says to go on, if it does not know: a checkpoint was read. */
  private void writeState() {
    double[] wanted = new double[Math.toIntExact(state.size())];
    wanted[StepControl.SCALE] = scaler.scale();
    wanted[StepControl.FINITE_STEPS] = scaler.finiteSteps();
    for (int i = 0; i < optimizers.size(); i++) {
      wanted[StepControl.update(i) + StepControl.STEP] =
          optimizers.get(i).getValue().adamW().steps();
    }
    double[] current = known;
    if (current == null || !goesOnAlike(current, wanted)) {
      state.writeDoubles(wanted);
      known = wanted;
    }
  }

  private boolean goesOnAlike(double[] a, double[] b) {
    boolean alike =
        a[StepControl.SCALE] == b[StepControl.SCALE]
            && a[StepControl.FINITE_STEPS] == b[StepControl.FINITE_STEPS];
    for (int i = 0; i < optimizers.size(); i++) {
      int step = StepControl.update(i) + StepControl.STEP;
      alike &= a[step] == b[step];
    }
    return alike;
  }

  /** Agrees with all ranks and updates; every rank calls it, also one that runs no component. */
  void step() {
    for (Map.Entry<String, ComponentOptimizer> optimizer : optimizers) {
      optimizer.getValue().squares(numbers);
    }
    numbers.sumSquares();
    sumOverRanks();
    device.kernels(DType.F64).concludeStep(numbers.control(), state);
    for (int i = 0; i < optimizers.size(); i++) {
      int update = StepControl.update(i);
      NDArray mine = state.slice(0, update, update + StepControl.UPDATE_LENGTH);
      optimizers.get(i).getValue().step(mine);
    }
    for (ComponentProgram program : programs) {
      // Also those of parameters that no optimizer updates: they would add up from step to step.
      program.parameters().stream()
          .filter(parameter -> parameter.tensor().requiresGradient())
          .forEach(parameter -> parameter.tensor().clearGradient());
    }
  }

  private void sumOverRanks() {
    NDArray sums = numbers.sums();
    if (device.isAsynchronous()) {
      // One rank has nobody to agree with, and a call would cut a recorded step in two.
      if (world.size() > 1) {
        world.allReduce(sums, ReduceOp.SUM).await();
      }
    } else {
      double[] mine = sums.toDoubles();
      world.allReduce(mine, ReduceOp.SUM);
      sums.writeDoubles(mine);
    }
  }

  /** The step's numbers, on their way to the host. */
  PendingStep pending() {
    long bytes = state.size() * Double.BYTES;
    return new PendingStep(this, device.copyToHostLater(state.block(), state.byteOffset(), bytes));
  }

  /** What the state says of the step that it was copied after. */
  StepResult result(MemorySegment copied) {
    double[] after = new double[Math.toIntExact(state.size())];
    MemorySegment.copy(copied, JAVA_DOUBLE_UNALIGNED, 0, after, 0, after.length);
    known = after;
    underWay--;
    scaler.now(after[StepControl.SCALE], (int) after[StepControl.FINITE_STEPS]);
    for (int i = 0; i < optimizers.size(); i++) {
      long steps = (long) after[StepControl.update(i) + StepControl.STEP];
      optimizers.get(i).getValue().adamW().resumeAt(steps);
    }
    return new StepResult(
        after[StepControl.MEAN_LOSS],
        (long) after[StepControl.VALID_TOKENS],
        after[StepControl.NORM],
        after[StepControl.IS_FINITE] == 0);
  }

  /** Forgets steps that ended early. */
  void clear() {
    underWay = 0;
  }
}
