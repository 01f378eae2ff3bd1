package dev.heddle.parallel.redistribute;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.runtime.NDArray;
import java.util.ArrayList;
import java.util.List;

/**
 * Collective, Shard to Shard of another dim: {@code [A0,A1] [B0,B1] => [A0,B0] [A1,B1]}, an
 * all-to-all. Its backward is the same with the dims swapped. Parts are sets of intervals, so that
 * one grouped exchange takes every piece straight to its place, whatever the order of the parts.
 */
public final class ShardToShard {
  private ShardToShard() {}

  /**
   * Which indices of a dim each member of a group holds, in ascending order; together all of them.
   */
  public record Parts(int dim, List<Intervals> ofMembers) {
    /** A list that no longer changes. */
    public Parts {
      ofMembers = List.copyOf(ofMembers);
    }

    long size() {
      return ofMembers.stream().mapToLong(Intervals::size).sum();
    }
  }

  /**
   * This rank's part of {@code divided} of the whole, in exchange for its part of {@code joined}.
   *
   * @param x this rank's part of the dim of {@code joined}, and the whole of the other
   * @param joined how the dim that becomes whole is divided before
   * @param divided how the other dim is divided afterwards
   */
  public static Tensor shardToShard(Tensor x, Parts joined, Parts divided, Communicator group) {
    if (group.size() == 1) {
      return x;
    }
    long mine = joined.ofMembers.get(group.rank()).size();
    if (x.dim(joined.dim) != mine || x.dim(divided.dim) != divided.size()) {
      throw new IllegalArgumentException(
          "ShardToShard: rank "
              + group.rank()
              + " of "
              + group.name()
              + " has "
              + x.shape()
              + "; wanted its "
              + mine
              + " indices of dim "
              + joined.dim
              + " and all "
              + divided.size()
              + " of dim "
              + divided.dim);
    }
    return Tensor.from(
        traded(x.value(), joined, divided, group), new Saved(x, joined, divided, group));
  }

  private record Saved(Tensor x, Parts joined, Parts divided, Communicator group) implements Node {
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
      return Gradients.of(traded(dy, divided, joined, group));
    }
  }

  private static NDArray traded(NDArray x, Parts joined, Parts divided, Communicator group) {
    int me = group.rank();
    Intervals mine = divided.ofMembers.get(me);
    NDArray y =
        NDArray.empty(
            x.device(),
            x.dtype(),
            x.shape().with(joined.dim, joined.size()).with(divided.dim, mine.size()));
    List<Message> messages = new ArrayList<>();
    for (int member = 0; member < group.size(); member++) {
      // What this rank has of the joined dim, for the member's part of the divided one ...
      for (NDArray piece : placed(x, joined, joined.ofMembers.get(me), true)) {
        for (NDArray part : placed(piece, divided, divided.ofMembers.get(member), false)) {
          messages.add(Message.send(member, part));
        }
      }
      // ... and what the member has of it, for this rank's part.
      for (NDArray piece : placed(y, joined, joined.ofMembers.get(member), false)) {
        for (NDArray part : placed(piece, divided, mine, true)) {
          messages.add(Message.receive(member, part));
        }
      }
    }
    group.exchange(messages).await();
    return y;
  }

  /**
   * The views of the intervals of a part.
   *
   * @param packed whether {@code x} has just this part along the dim, one interval after the other;
   *     else it has the whole
   */
  private static List<NDArray> placed(NDArray x, Parts parts, Intervals part, boolean packed) {
    List<NDArray> views = new ArrayList<>(part.count());
    long place = 0;
    for (int i = 0; i < part.count(); i++) {
      long size = part.end(i) - part.start(i);
      long start = packed ? place : part.start(i);
      views.add(x.slice(parts.dim, start, start + size));
      place += size;
    }
    return views;
  }
}
