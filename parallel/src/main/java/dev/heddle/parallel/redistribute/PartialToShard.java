package dev.heddle.parallel.redistribute;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.runtime.NDArray;

/**
 * Collective, Partial to Shard: {@code [+A0,A1] [+B0,B1] => [A0+B0] [A1+B1]}, a reduce-scatter.
 * Each rank has its part of the sum, so the backward is an all-gather (Shard to Replicate). Where a
 * value leaves a tensor-parallel region for ranks that hold it by parts of the sequence;
 * Korthikanti et al., 2022, the conjugate of operator g.
 */
public final class PartialToShard {
  private PartialToShard() {}

  /**
   * This rank's part of the sum over the group of each rank's {@code x}.
   *
   * @param dim the dim that is divided, as {@link dev.heddle.parallel.layout.Split} says
   */
  public static Tensor partialToShard(Tensor x, int dim, Communicator group) {
    if (group.size() == 1) {
      return x;
    }
    DividedDim divided = new DividedDim(dim, x.dim(dim), group);
    return Tensor.from(divided.reduced(x.value()), new Saved(x, divided));
  }

  private record Saved(Tensor x, DividedDim divided) implements Node {
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
      return Gradients.of(divided.gathered(dy));
    }
  }
}
