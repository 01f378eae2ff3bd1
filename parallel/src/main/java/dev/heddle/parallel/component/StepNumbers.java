package dev.heddle.parallel.component;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What the host wants to know of a step on this rank: the losses of its microbatches and the
 * squares of its gradients. They are gathered on the device as they come, in double precision, and
 * read all at once at the end: the only time that a step waits for its device. The host adds them
 * up in the order in which they came.
 *
 * <p>The memory belongs to the scope that is open when this is made.
 */
final class StepNumbers {
  private final @Nullable NDArray values;
  private final int mostLosses;
  private int losses;
  private int squares;

  /**
   * Room for a step's numbers.
   *
   * @param mostLosses how many losses may come
   * @param mostSquares how many sums of squares may come
   */
  StepNumbers(Device device, int mostLosses, int mostSquares) {
    int size = mostLosses + mostSquares;
    this.mostLosses = mostLosses;
    // Numbers that do not come are 0.
    this.values = size == 0 ? null : NDArray.zeros(device, DType.F64, size);
  }

  /** Takes a loss, one element; its memory may be given back at once. */
  void loss(NDArray value) {
    NDArray to = slot(losses, mostLosses, "loss").reshape(value.shape());
    value.kernels().copy(value, to);
    losses++;
  }

  /** Takes the squares of all elements of {@code gradients}, which have one type. */
  void squares(List<NDArray> gradients) {
    NDArray all = slot(mostLosses + squares, Integer.MAX_VALUE, "sum of squares");
    gradients.getFirst().kernels().sumOfSquares(gradients, all);
    squares++;
  }

  private NDArray slot(int index, int end, String what) {
    if (values == null || index >= end || index >= values.size()) {
      throw new IllegalStateException("step: one " + what + " more than its schedule says");
    }
    return values.slice(0, index, index + 1);
  }

  /** Waits for the device; the sum of the losses, then the sum of the squares. */
  double[] read() {
    double[] sums = new double[2];
    if (values != null && losses + squares > 0) {
      double[] all = values.toDoubles();
      for (int i = 0; i < all.length; i++) {
        sums[i < mostLosses ? 0 : 1] += all[i];
      }
    }
    return sums;
  }
}
