package dev.heddle.parallel.context;

import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.NDArray;
import java.util.List;
import java.util.Optional;

/** A communicator that writes down when exchanges are posted, polled and awaited. */
record RecordingCommunicator(Communicator inside, List<String> events) implements Communicator {
  @Override
  public Handle exchange(List<Message> messages) {
    events.add("post");
    Handle handle = inside.exchange(messages);
    return new Handle() {
      @Override
      public void await() {
        events.add("await");
        handle.await();
      }

      @Override
      public boolean isDone() {
        events.add("poll");
        return handle.isDone();
      }
    };
  }

  @Override
  public String name() {
    return inside.name();
  }

  @Override
  public int rank() {
    return inside.rank();
  }

  @Override
  public int size() {
    return inside.size();
  }

  @Override
  public int globalRank(int member) {
    return inside.globalRank(member);
  }

  @Override
  public List<Integer> globalRanks() {
    return inside.globalRanks();
  }

  @Override
  public Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    return inside.subgroup(name, globalRanks);
  }

  @Override
  public Handle allReduce(NDArray array, ReduceOp op) {
    return inside.allReduce(array, op);
  }

  @Override
  public Handle reduce(NDArray array, ReduceOp op, int root) {
    return inside.reduce(array, op, root);
  }

  @Override
  public Handle broadcast(NDArray array, int root) {
    return inside.broadcast(array, root);
  }

  @Override
  public Handle allGather(NDArray part, List<NDArray> wholes) {
    return inside.allGather(part, wholes);
  }

  @Override
  public Handle gather(NDArray part, List<NDArray> wholes, int root) {
    return inside.gather(part, wholes, root);
  }

  @Override
  public Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    return inside.scatter(wholes, part, root);
  }

  @Override
  public Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    return inside.reduceScatter(wholes, part, op);
  }

  @Override
  public Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    return inside.allToAll(sources, destinations);
  }

  @Override
  public void barrier() {
    inside.barrier();
  }

  @Override
  public double allReduce(double value, ReduceOp op) {
    return inside.allReduce(value, op);
  }

  @Override
  public void allReduce(double[] values, ReduceOp op) {
    inside.allReduce(values, op);
  }

  @Override
  public long allReduce(long value, ReduceOp op) {
    return inside.allReduce(value, op);
  }

  @Override
  public void allReduce(long[] values, ReduceOp op) {
    inside.allReduce(values, op);
  }

  @Override
  public long[][] allGather(long[] values) {
    return inside.allGather(values);
  }

  @Override
  public void requireUsable() {
    inside.requireUsable();
  }

  @Override
  public void abort(Throwable cause) {
    inside.abort(cause);
  }

  @Override
  public CommunicationStatistics statistics() {
    return inside.statistics();
  }

  @Override
  public CommunicationStatistics totalStatistics() {
    return inside.totalStatistics();
  }
}
