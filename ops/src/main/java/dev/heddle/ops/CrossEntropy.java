package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import org.jspecify.annotations.Nullable;

/**
 * y = Σ over rows with target t >= 0 of (log Σ_c e^(x_c) - x_t). x [R,C], targets [R] -> y [].
 *
 * <p>dx = dy (softmax(x) - onehot(t)) in these rows, 0 in the others.
 *
 * <p>The sum, not the mean: under the gradient rule every layout divides by the number of valid
 * tokens of the global batch, once, at the end of the step.
 */
public final class CrossEntropy {
  private CrossEntropy() {}

  /**
   * The sum of the losses of all rows whose target is not negative, in the accumulation type.
   *
   * @param targets [R] of I64, below C; negative for rows that do not count
   * @throws IndexOutOfBoundsException if a target is C or more, when the device finds it: see
   *     {@link Kernels}
   */
  public static Tensor crossEntropySum(Tensor logits, NDArray targets) {
    check(logits, targets);
    NDArray x = logits.value().contiguous();
    long rows = x.dim(0);
    NDArray logSumExp = Matrices.statistic(x, rows);
    try (MemoryScope inside = MemoryScope.temporaries()) {
      NDArray targetLogit = Matrices.statistic(x, rows);
      x.kernels().crossEntropy(x, targets, 0, x.dim(1), logSumExp, targetLogit);
      NDArray labels = targets.cast(logSumExp.dtype());
      NDArray loss = inside.keep(sumOfValid(logSumExp, targetLogit, labels));
      return Tensor.from(loss, new Saved(logits, x, targets, logSumExp));
    }
  }

  private record Saved(Tensor logits, NDArray x, NDArray targets, NDArray logSumExp)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {logits};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[] {x, targets, logSumExp};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dx = Matrices.emptyLike(x);
      x.kernels().crossEntropyBackward(x, targets, 0, logSumExp, dy, dx);
      return Gradients.of(dx);
    }
  }

  /**
   * Σ (logSumExp - targetLogit) over the rows whose target is not negative: the loss from what
   * {@link Kernels#crossEntropy} gives, also after a vocabulary's parts were merged.
   *
   * @param logSumExp [R] of an accumulation type
   * @param targetLogit [R] of the same type
   * @param targets [R] of I64
   * @return a scalar of the same type
   */
  public static NDArray sumOfLosses(NDArray logSumExp, NDArray targetLogit, NDArray targets) {
    try (MemoryScope inside = MemoryScope.temporaries()) {
      return inside.keep(sumOfValid(logSumExp, targetLogit, targets.cast(logSumExp.dtype())));
    }
  }

  private static NDArray sumOfValid(NDArray logSumExp, NDArray targetLogit, NDArray labels) {
    NDArray sum = NDArray.empty(logSumExp.device(), logSumExp.dtype(), Shape.of());
    try (MemoryScope inside = MemoryScope.temporaries()) {
      NDArray losses = Binary.apply(BinaryOperation.SUBTRACT, logSumExp, targetLogit);
      NDArray valid = validMask(labels);
      losses.kernels().binary(BinaryOperation.MULTIPLY, losses, valid, losses);
      losses.kernels().sumTo(losses, sum);
    }
    return sum;
  }

  /** 1 where a target is not negative, else 0: with u = max(t, -1) + 1, this is u / max(u, 1). */
  private static NDArray validMask(NDArray targets) {
    NDArray one = NDArray.full(targets.device(), targets.dtype(), Shape.of(1), 1);
    NDArray minusOne = NDArray.full(targets.device(), targets.dtype(), Shape.of(1), -1);
    NDArray above = Binary.apply(BinaryOperation.MAXIMUM, targets, minusOne);
    above.kernels().binary(BinaryOperation.ADD, above, one, above);
    NDArray divisor = Binary.apply(BinaryOperation.MAXIMUM, above, one);
    above.kernels().binary(BinaryOperation.DIVIDE, above, divisor, above);
    return above;
  }

  /** How many targets are not negative: the tokens that a loss counts. Reads them on the host. */
  public static long validCount(NDArray targets) {
    long count = 0;
    for (long target : targets.toLongs()) {
      if (target >= 0) {
        count++;
      }
    }
    return count;
  }

  private static void check(Tensor logits, NDArray targets) {
    String operator = "CrossEntropy.crossEntropySum";
    if (logits.rank() != 2) {
      throw Refusal.of(
          operator, "logits", logits, "[R,C]", "Fold batch and sequence with Reshape.reshape.");
    }
    if (targets.rank() != 1 || targets.dim(0) != logits.dim(0)) {
      throw Refusal.of(
          operator,
          "targets",
          targets,
          "I64[" + logits.dim(0) + "] for logits " + Refusal.name(logits),
          "There is one target a row.");
    }
  }
}
