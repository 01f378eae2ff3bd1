package dev.heddle.parallel.redistribute;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.runtime.NDArray;

/**
 * Collective, Shard to Replicate: {@code [A] [B] => [A,B] [A,B]}, an all-gather. From here on each
 * rank uses the whole on its own, so the gradients are summands and the backward is a
 * reduce-scatter (Partial to Shard). Where a value that ranks hold by parts of the sequence enters
 * a tensor-parallel region; Korthikanti et al., "Reducing Activation Recomputation in Large
 * Transformer Models", 2022, operator g.
 */
public final class ShardToReplicate {
  private ShardToReplicate() {}

  /**
   * The whole of which every rank of the group holds a part.
   *
   * @param x this rank's part, of the size that {@link dev.heddle.parallel.layout.Split} says
   * @param dim the divided dim
   * @param size its size in the whole
   */
  public static Tensor shardToReplicate(Tensor x, int dim, long size, Communicator group) {
    if (group.size() == 1) {
      return x;
    }
    DividedDim divided = new DividedDim(dim, size, group);
    if (x.dim(dim) != divided.mine().size()) {
      throw new IllegalArgumentException(
          "ShardToReplicate: rank "
              + group.rank()
              + " of "
              + group.name()
              + " has "
              + x.dim(dim)
              + " of "
              + size
              + " indices of dim "
              + dim
              + " of "
              + x.shape()
              + "; wanted its part "
              + divided.mine());
    }
    return Tensor.from(divided.gathered(x.value()), new Saved(x, divided));
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
      return Gradients.of(divided.reduced(dy));
    }
  }
}
