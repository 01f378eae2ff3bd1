package dev.heddle.runtime;

import static dev.heddle.runtime.ArgumentChecks.contiguous;
import static dev.heddle.runtime.ArgumentChecks.contiguousLike;
import static dev.heddle.runtime.ArgumentChecks.device;
import static dev.heddle.runtime.ArgumentChecks.distinct;
import static dev.heddle.runtime.ArgumentChecks.dtype;
import static dev.heddle.runtime.ArgumentChecks.floating;
import static dev.heddle.runtime.ArgumentChecks.live;
import static dev.heddle.runtime.ArgumentChecks.refuse;
import static dev.heddle.runtime.ArgumentChecks.sameShape;
import static dev.heddle.runtime.ArgumentChecks.statistic;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** {@link KernelChecks} of the optimizer's primitives. */
public final class OptimizerChecks {
  /** A step that the arrays of a tensor can be checked with. */
  private static final AdamWStep ANY_STEP = new AdamWStep(0, 0, 0, 1, 0, 1, 1);

  private OptimizerChecks() {}

  /** Checks the arguments of {@link Kernels#adamW}. */
  public static void adamW(
      AdamWStep step,
      NDArray weight,
      NDArray gradient,
      NDArray firstMoment,
      NDArray secondMoment,
      @Nullable NDArray copy) {
    String kernel = "adamW";
    if (step.step() < 1) {
      throw refuse("%s: step is %s; wanted 1 or more: the first step is 1", kernel, step.step());
    }
    floating(kernel, "gradient", gradient);
    contiguous(kernel, "gradient", gradient);
    optimizerState(kernel, "weight", weight, gradient);
    optimizerState(kernel, "firstMoment", firstMoment, gradient);
    optimizerState(kernel, "secondMoment", secondMoment, gradient);
    distinct(kernel, "weight", weight, "gradient", gradient);
    distinct(kernel, "firstMoment", firstMoment, "gradient", gradient);
    distinct(kernel, "secondMoment", secondMoment, "gradient", gradient);
    distinct(kernel, "firstMoment", firstMoment, "weight", weight);
    distinct(kernel, "secondMoment", secondMoment, "weight", weight);
    distinct(kernel, "secondMoment", secondMoment, "firstMoment", firstMoment);
    if (copy != null) {
      if (gradient.dtype() == weight.dtype()) {
        throw refuse(
            "%s: copy is given but gradient and weight are both %s: the weight itself is the "
                + "copy; pass null",
            kernel, weight.dtype());
      }
      contiguousLike(kernel, "copy", copy, "gradient", gradient);
      distinct(kernel, "copy", copy, "gradient", gradient);
    }
  }

  /** Checks the arguments of {@link Kernels#adamW(AdamWStep, List, NDArray)}. */
  public static void adamW(List<AdamWTensor> tensors, NDArray update) {
    String kernel = "adamW";
    adamW(ANY_STEP, tensors);
    if (!tensors.isEmpty()) {
      device(kernel, "update", update, "a gradient", tensors.get(0).gradient());
    }
    numbers(kernel, "update", update, StepControl.UPDATE_LENGTH);
  }

  /** Checks the arguments of {@link Kernels#adamW(AdamWStep, List)}. */
  public static void adamW(AdamWStep step, List<AdamWTensor> tensors) {
    String kernel = "adamW";
    for (int i = 0; i < tensors.size(); i++) {
      AdamWTensor t = tensors.get(i);
      adamW(step, t.weight(), t.gradient(), t.firstMoment(), t.secondMoment(), t.copy());
      if (t.gradient().dtype() != tensors.get(0).gradient().dtype()) {
        throw refuse(
            "%s: gradient %s is %s and gradient 0 is %s; wanted one type: call it once for each",
            kernel, i, t.gradient().dtype(), tensors.get(0).gradient().dtype());
      }
    }
  }

  /** Checks the arguments of {@link Kernels#concludeStep}. */
  public static void concludeStep(NDArray control, NDArray state) {
    String kernel = "concludeStep";
    live(control);
    if (control.rank() != 1 || control.size() < StepControl.FIRST_RATE) {
      throw refuse(
          "%s: control is %s; wanted a vector of at least %s numbers",
          kernel, control.shape(), StepControl.FIRST_RATE);
    }
    device(kernel, "state", state, "control", control);
    numbers(kernel, "control", control, control.size());
    int optimizers = Math.toIntExact(control.size()) - StepControl.FIRST_RATE;
    numbers(kernel, "state", state, StepControl.stateLength(optimizers));
    distinct(kernel, "state", state, "control", control);
  }

  private static void numbers(String kernel, String name, NDArray x, long length) {
    dtype(kernel, name, x, DType.F64);
    if (x.rank() != 1 || x.size() != length) {
      throw refuse("%s: %s is %s; wanted [%s]", kernel, name, x.shape(), length);
    }
    contiguous(kernel, name, x);
  }

  private static void optimizerState(String kernel, String name, NDArray state, NDArray gradient) {
    statistic(kernel, name, state, "gradient", gradient);
    sameShape(kernel, name, state, "gradient", gradient);
    contiguous(kernel, name, state);
  }
}
