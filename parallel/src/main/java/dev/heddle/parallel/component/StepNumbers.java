package dev.heddle.parallel.component;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.StepControl;
import java.util.ArrayList;
import java.util.List;

/**
 * What a step brings on this rank: the sum of its losses and the squares of its gradients. They are
 * gathered on the device as they come, in double precision, in a {@link StepControl control}
 * vector. Losses are added up in the order in which they come, so however many microbatches there
 * are, the memory is the same.
 *
 * <p>The memory belongs to the scope that is open when this is made, and serves one step after the
 * other.
 */
final class StepNumbers {
  private final NDArray control;

  /** Where a loss waits to be added. */
  private final NDArray wide;

  private final List<NDArray> gradients = new ArrayList<>();

  /** Room for the numbers of a step with so many optimizers. */
  StepNumbers(Device device, int optimizers) {
    control = NDArray.zeros(device, DType.F64, Shape.of(StepControl.controlLength(optimizers)));
    wide = NDArray.zeros(device, DType.F64, Shape.of(1));
  }

  /** The vector that the numbers are gathered in. */
  NDArray control() {
    return control;
  }

  /** What all ranks' numbers are summed of: loss, tokens, squares. */
  NDArray sums() {
    return control.slice(0, StepControl.LOSS, StepControl.SQUARES + 1);
  }

  /** Begins a step with these numbers of the host's in the control vector. */
  void begin(double[] numbers) {
    gradients.clear();
    control.writeDoubles(numbers);
  }

  /** Takes a loss, one element; its memory may be given back at once. */
  void loss(NDArray value) {
    value.kernels().copy(value, wide.reshape(value.shape()));
    wide.kernels().addScaled(wide, 1, control.slice(0, StepControl.LOSS, StepControl.LOSS + 1));
  }

  /** Takes gradients whose squares this rank counts. */
  void squares(List<NDArray> counted) {
    gradients.addAll(counted);
  }

  /** Sums the squares of all that was taken. */
  void sumSquares() {
    if (!gradients.isEmpty()) {
      NDArray squares = control.slice(0, StepControl.SQUARES, StepControl.SQUARES + 1);
      gradients.getFirst().kernels().sumOfSquares(gradients, squares);
      gradients.clear();
    }
  }
}
