package dev.heddle.parallel.redistribute;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.NDArray;

/**
 * Collective, Partial to Invariant: {@code [+A] [+B] => [A+B] [A+B]}, an all-reduce. All ranks use
 * the sum identically, so each has the complete gradient already and the backward moves nothing
 * (Invariant to Replicate). Where a value leaves a tensor-parallel region; Megatron-LM's operator
 * g.
 */
public final class PartialToInvariant {
  private PartialToInvariant() {}

  /** The sum over the group of each rank's {@code x}. */
  public static Tensor partialToInvariant(Tensor x, Communicator group) {
    if (group.size() == 1) {
      return x;
    }
    NDArray sum = x.value().copy();
    group.allReduce(sum, ReduceOp.SUM).await();
    return Tensor.from(sum, new Saved(x));
  }

  private record Saved(Tensor x) implements Node {
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
      return Gradients.of(dy);
    }
  }
}
