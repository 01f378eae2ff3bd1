package dev.heddle.parallel.tensor;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.ops.CrossEntropy;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;

/**
 * Cross-entropy with the words divided over ranks, without gathering the logits. Each rank takes
 * the log-sum-exp of its columns and, where it has it, the target's logit; two all-reduces of one
 * number a row combine them:
 *
 * <pre>
 *   M = max over ranks of lse_r       lse = M + log Σ_r exp(lse_r - M)
 *   loss = Σ over valid rows of lse - targetLogit
 *   dlogits = dloss (exp(logits - lse) - onehot(target)) on each rank's own columns
 * </pre>
 */
final class VocabularyParallelCrossEntropy {
  private VocabularyParallelCrossEntropy() {}

  /**
   * The sum of the losses, the same on all ranks.
   *
   * @param logits [R,C]: this rank's columns, the first of them word {@code first} of {@code
   *     vocabularySize}
   * @param targets [R] I64, negative ones ignored
   * @throws IndexOutOfBoundsException if a target is in no rank's part, when the device finds it
   */
  static Tensor crossEntropySum(
      Tensor logits, NDArray targets, long first, long vocabularySize, Communicator group) {
    long rows = logits.dim(0);
    DType wide = logits.dtype().accumulation();
    NDArray lse = NDArray.empty(logits.device(), wide, rows);
    NDArray target = NDArray.empty(logits.device(), wide, rows);
    NDArray value = logits.value().contiguous();
    logits.kernels().crossEntropy(value, targets, first, vocabularySize, lse, target);

    NDArray most = lse.copy();
    group.allReduce(most, ReduceOp.MAX).await();
    NDArray whole = NDArray.empty(logits.device(), wide, rows);
    whole.kernels().binary(BinaryOperation.SUBTRACT, lse, most, whole);
    whole.kernels().unary(UnaryOperation.EXP, whole, whole);
    group.allReduce(whole, ReduceOp.SUM).await();
    whole.kernels().unary(UnaryOperation.LOG, whole, whole);
    whole.kernels().addScaled(most, 1, whole);
    group.allReduce(target, ReduceOp.SUM).await();

    NDArray loss = CrossEntropy.sumOfLosses(whole, target, targets);
    return Tensor.from(loss, new Saved(logits, value, targets, first, whole));
  }

  private record Saved(Tensor logits, NDArray value, NDArray targets, long first, NDArray logSumExp)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {logits};
    }

    @Override
    public NDArray[] saved() {
      return new NDArray[] {value, targets, logSumExp};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dlogits = NDArray.empty(value.device(), value.dtype(), value.shape());
      value.kernels().crossEntropyBackward(value, targets, first, logSumExp, dy, dlogits);
      return Gradients.of(dlogits);
    }
  }
}
