package dev.heddle.parallel.component;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What the host wants to know of a step on this rank: the sum of its losses and the squares of its
 * gradients. They are gathered on the device as they come, in double precision, and read all at
 * once at the end: the only time that a step waits for its device. Losses are added up in the order
 * in which they come, so however many microbatches there are, the memory is the same.
 *
 * <p>The memory belongs to the scope that is open when this is made.
 */
final class StepNumbers {
  /** Where a loss waits to be added, and where it is added. */
  private static final int LOSS = 0;

  private static final int LOSS_SUM = 1;
  private static final int FIRST_SQUARES = 2;

  private final @Nullable NDArray values;
  private int squares;
  private boolean taken;

  /**
   * Room for a step's numbers.
   *
   * @param hasLosses whether losses may come
   * @param mostSquares how many sums of squares may come
   */
  StepNumbers(Device device, boolean hasLosses, int mostSquares) {
    // Numbers that do not come are 0.
    this.values =
        hasLosses || mostSquares > 0
            ? NDArray.zeros(device, DType.F64, FIRST_SQUARES + mostSquares)
            : null;
  }

  /** Takes a loss, one element; its memory may be given back at once. */
  void loss(NDArray value) {
    NDArray wide = slot(LOSS, "loss");
    value.kernels().copy(value, wide.reshape(value.shape()));
    wide.kernels().addScaled(wide, 1, slot(LOSS_SUM, "loss"));
    taken = true;
  }

  /** Takes the squares of all elements of {@code gradients}, which have one type. */
  void squares(List<NDArray> gradients) {
    NDArray all = slot(FIRST_SQUARES + squares, "sum of squares");
    gradients.getFirst().kernels().sumOfSquares(gradients, all);
    squares++;
    taken = true;
  }

  private NDArray slot(int index, String what) {
    if (values == null || index >= values.size()) {
      throw new IllegalStateException("step: one " + what + " more than its schedule says");
    }
    return values.slice(0, index, index + 1);
  }

  /** Waits for the device; the sum of the losses, then the sum of the squares. */
  double[] read() {
    double[] sums = new double[2];
    if (values != null && taken) {
      double[] all = values.slice(0, LOSS_SUM, values.size()).toDoubles();
      sums[0] = all[0];
      for (int i = 1; i < all.length; i++) {
        sums[1] += all[i];
      }
    }
    return sums;
  }
}
