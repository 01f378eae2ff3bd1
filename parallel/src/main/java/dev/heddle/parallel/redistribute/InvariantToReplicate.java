package dev.heddle.parallel.redistribute;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.NDArray;

/**
 * Convert, Invariant to Replicate: {@code [A] [A] => [A] [A]}. The bytes stay; from here on each
 * rank uses them on its own, so the gradients are summands and the backward is an all-reduce
 * (Partial to Invariant). Where a value enters a tensor-parallel region; Shoeybi et al.,
 * "Megatron-LM", 2019, operator f.
 */
public final class InvariantToReplicate {
  private InvariantToReplicate() {}

  /** {@code x}, to be used by each rank of the group on its own. */
  public static Tensor invariantToReplicate(Tensor x, Communicator group) {
    return group.size() == 1 ? x : Tensor.from(x.value(), new Saved(x, group));
  }

  private record Saved(Tensor x, Communicator group) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      // A copy: dy may be the gradient of other uses too, and all-reduce writes in place.
      NDArray sum = dy.copy();
      group.allReduce(sum, ReduceOp.SUM).await();
      return Gradients.of(sum);
    }
  }
}
