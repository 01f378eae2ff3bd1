package dev.heddle.train.run;

import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.NDArray;
import java.util.List;
import java.util.Optional;

/**
 * A group of which one rank exists and only on paper: programs whose arrays have no bytes run in it
 * to be measured. Nothing is sent; whatever is received is there at once, and a number that is
 * reduced stays this rank's own.
 *
 * @param name what the group is called
 * @param globalRanks the members' numbers in the world
 * @param rank the number of the rank that is planned among them
 */
record PaperGroup(String name, List<Integer> globalRanks, int rank) implements Communicator {
  private static final Handle DONE =
      new Handle() {
        @Override
        public void await() {}

        @Override
        public boolean isDone() {
          return true;
        }
      };

  /** The world as rank {@code rank} sees it. */
  static PaperGroup world(List<Integer> ranks, int rank) {
    return new PaperGroup("world", ranks, ranks.indexOf(rank));
  }

  @Override
  public int size() {
    return globalRanks.size();
  }

  @Override
  public int globalRank(int member) {
    return globalRanks.get(member);
  }

  @Override
  public Optional<Communicator> subgroup(String group, List<Integer> members) {
    int member = members.indexOf(globalRank(rank));
    return member < 0 ? Optional.empty() : Optional.of(new PaperGroup(group, members, member));
  }

  @Override
  public Handle allReduce(NDArray array, ReduceOp op) {
    return DONE;
  }

  @Override
  public Handle reduce(NDArray array, ReduceOp op, int root) {
    return DONE;
  }

  @Override
  public Handle broadcast(NDArray array, int root) {
    return DONE;
  }

  @Override
  public Handle allGather(NDArray part, List<NDArray> wholes) {
    return DONE;
  }

  @Override
  public Handle gather(NDArray part, List<NDArray> wholes, int root) {
    return DONE;
  }

  @Override
  public Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    return DONE;
  }

  @Override
  public Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    return DONE;
  }

  @Override
  public Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    return DONE;
  }

  @Override
  public Handle exchange(List<Message> messages) {
    return DONE;
  }

  @Override
  public void barrier() {}

  @Override
  public double allReduce(double value, ReduceOp op) {
    return value;
  }

  @Override
  public void allReduce(double[] values, ReduceOp op) {}

  @Override
  public long allReduce(long value, ReduceOp op) {
    return value;
  }

  @Override
  public void allReduce(long[] values, ReduceOp op) {}

  @Override
  public long[][] allGather(long[] values) {
    long[][] all = new long[size()][];
    for (int member = 0; member < all.length; member++) {
      all[member] = values.clone();
    }
    return all;
  }

  @Override
  public void requireUsable() {}

  @Override
  public void abort(Throwable cause) {}

  @Override
  public CommunicationStatistics statistics() {
    return new CommunicationStatistics();
  }

  @Override
  public CommunicationStatistics totalStatistics() {
    return new CommunicationStatistics();
  }
}
