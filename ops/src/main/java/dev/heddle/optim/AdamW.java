package dev.heddle.optim;

import dev.heddle.nn.Parameter;
import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * The AdamW optimizer (Loshchilov and Hutter, ICLR 2019; the formula is that of {@link AdamWStep}),
 * one fused kernel a parameter. Moments are kept in the parameter's accumulation type; a bf16
 * parameter also has an F32 master weight, of which it is the rounded copy.
 *
 * <p>A parameter without a gradient is stepped as if its gradient were zero: whether a rank's own
 * samples touched it must not change the result.
 */
public final class AdamW {
  /**
   * What the optimizer keeps for one parameter.
   *
   * @param parameter whose state it is
   * @param firstMoment running mean of gradients
   * @param secondMoment running mean of squared gradients
   * @param master the weight in full precision where the parameter's type is narrower, else null
   */
  public record State(
      Parameter parameter,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray master) {}

  /**
   * The constants of a run.
   *
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment
   * @param epsilon added to the denominator
   * @param weightDecay decoupled decay, for parameters that take it
   */
  public record Options(double beta1, double beta2, double epsilon, double weightDecay) {
    /** Betas 0.9 and 0.999, epsilon 1e-8. */
    public static Options withWeightDecay(double weightDecay) {
      return new Options(0.9, 0.999, 1e-8, weightDecay);
    }
  }

  private final Options options;
  private final Map<String, State> states = new LinkedHashMap<>();
  private long stepCount;

  /**
   * An optimizer of {@code parameters}, moments 0. Its memory belongs to the {@link MemoryScope}
   * that is open now.
   */
  public AdamW(List<Parameter> parameters, Options options) {
    this.options = options;
    for (Parameter parameter : parameters) {
      NDArray value = parameter.value();
      DType wide = value.dtype().accumulation();
      State state =
          new State(
              parameter,
              NDArray.zeros(value.device(), wide, value.shape()),
              NDArray.zeros(value.device(), wide, value.shape()),
              wide == value.dtype() ? null : value.cast(wide));
      if (states.putIfAbsent(parameter.name(), state) != null) {
        throw new IllegalArgumentException(
            "AdamW: parameter " + parameter.name() + " is given twice; wanted each once");
      }
    }
  }

  /**
   * Changes every parameter in place by its gradient times {@code gradientScale}. The gradients
   * stay; clear them before the next backward.
   *
   * @param learningRate this step's
   * @param gradientScale 1/N times the clipping factor
   */
  public void step(double learningRate, double gradientScale) {
    stepCount++;
    AdamWStep decaying = numbers(learningRate, gradientScale, options.weightDecay());
    AdamWStep plain = numbers(learningRate, gradientScale, 0);
    for (State state : states.values()) {
      step(state, state.parameter.weightDecay() ? decaying : plain);
    }
  }

  private AdamWStep numbers(double learningRate, double gradientScale, double weightDecay) {
    return new AdamWStep(
        learningRate,
        options.beta1(),
        options.beta2(),
        options.epsilon(),
        weightDecay,
        stepCount,
        gradientScale);
  }

  private static void step(State state, AdamWStep numbers) {
    NDArray value = state.parameter.value();
    NDArray master = state.master;
    try (MemoryScope inside = MemoryScope.temporaries()) {
      NDArray gradient = state.parameter.gradient();
      if (gradient == null) {
        gradient = NDArray.zeros(value.device(), value.dtype(), value.shape());
      }
      value
          .kernels()
          .adamW(
              numbers,
              master == null ? value : master,
              gradient,
              state.firstMoment,
              state.secondMoment,
              master == null ? null : value);
    }
    // A graph that saved this weight must notice that it changed.
    value.block().touch();
  }

  /** The states by parameter name, in the order of the parameters. */
  public Map<String, State> states() {
    return Collections.unmodifiableMap(states);
  }

  /** Steps taken. */
  public long stepCount() {
    return stepCount;
  }

  /** Continues after {@code count} steps: what a resumed run sets besides the states' arrays. */
  public void stepCount(long count) {
    if (count < 0) {
      throw new IllegalArgumentException("AdamW: step count " + count + "; wanted 0 or more");
    }
    stepCount = count;
  }

  /** Takes over parameter values that were written from outside, without a checkpointed master. */
  public void copyParametersToMasters() {
    for (State state : states.values()) {
      NDArray master = state.master;
      if (master != null) {
        NDArray value = state.parameter.value();
        value.kernels().copy(value, master);
      }
    }
  }
}
