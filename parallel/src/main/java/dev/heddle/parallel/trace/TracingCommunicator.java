package dev.heddle.parallel.trace;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.support.ForwardingCommunicator;
import dev.heddle.runtime.NDArray;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A communicator that does what another does and records each operation in the rank's {@link
 * TraceRecorder}, from the call to the moment this rank sees that it is complete: its kind, group
 * and bytes, as {@link CommunicationStatistics} count them. So do the subgroups made through it.
 */
public final class TracingCommunicator extends ForwardingCommunicator {
  private final TraceRecorder recorder;
  private final int group;
  private final int[] operations = new int[CommunicationKind.values().length];
  private final int[] waits = new int[operations.length];
  private final long[] sentTo;
  private final long[] receivedFrom;

  /** Traces the operations of {@code world}, the group of all ranks of a run. */
  public TracingCommunicator(Communicator world, TraceRecorder recorder) {
    super(world);
    this.recorder = recorder;
    this.group = recorder.number(world.name() + " " + world.globalRanks());
    this.sentTo = new long[world.size()];
    this.receivedFrom = new long[world.size()];
    numberKinds();
  }

  private TracingCommunicator(Communicator group, TracingCommunicator parent) {
    super(group, parent);
    this.recorder = parent.recorder;
    this.group = recorder.number(group.name() + " " + group.globalRanks());
    this.sentTo = new long[group.size()];
    this.receivedFrom = new long[group.size()];
    numberKinds();
  }

  private void numberKinds() {
    for (CommunicationKind kind : CommunicationKind.values()) {
      operations[kind.ordinal()] = recorder.number(kind.label());
      waits[kind.ordinal()] = recorder.number("wait for " + kind.label());
    }
  }

  @Override
  protected Communicator before(Communicator subgroup) {
    return new TracingCommunicator(subgroup, this);
  }

  /** Where this rank's operations are recorded. */
  public TraceRecorder recorder() {
    return recorder;
  }

  // ---- collectives

  @Override
  public Handle allReduce(NDArray array, ReduceOp op) {
    Operation operation = new Operation(CommunicationKind.ALL_REDUCE);
    return operation.posted(target().allReduce(array, op));
  }

  @Override
  public Handle reduce(NDArray array, ReduceOp op, int root) {
    Operation operation = new Operation(CommunicationKind.REDUCE);
    return operation.posted(target().reduce(array, op, root));
  }

  @Override
  public Handle broadcast(NDArray array, int root) {
    Operation operation = new Operation(CommunicationKind.BROADCAST);
    return operation.posted(target().broadcast(array, root));
  }

  @Override
  public Handle allGather(NDArray part, List<NDArray> wholes) {
    Operation operation = new Operation(CommunicationKind.ALL_GATHER);
    return operation.posted(target().allGather(part, wholes));
  }

  @Override
  public Handle gather(NDArray part, List<NDArray> wholes, int root) {
    Operation operation = new Operation(CommunicationKind.GATHER);
    return operation.posted(target().gather(part, wholes, root));
  }

  @Override
  public Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    Operation operation = new Operation(CommunicationKind.SCATTER);
    return operation.posted(target().scatter(wholes, part, root));
  }

  @Override
  public Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    Operation operation = new Operation(CommunicationKind.REDUCE_SCATTER);
    return operation.posted(target().reduceScatter(wholes, part, op));
  }

  @Override
  public Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    Operation operation = new Operation(CommunicationKind.ALL_TO_ALL);
    return operation.posted(target().allToAll(sources, destinations));
  }

  // ---- point to point

  @Override
  public Handle exchange(List<Message> messages) {
    Operation operation = new Operation(CommunicationKind.EXCHANGE);
    Handle handle = target().exchange(messages);
    operation.messages = numbered(messages);
    return operation.posted(handle);
  }

  /** For each message to or from another rank what names it on both, negative for a receive. */
  private long[] numbered(List<Message> messages) {
    long[] numbered = new long[messages.size()];
    for (int i = 0; i < numbered.length; i++) {
      Message message = messages.get(i);
      int peer = message.peer();
      if (peer != rank()) {
        numbered[i] =
            message.isSend()
                ? messageId(rank(), peer, sentTo[peer]++)
                : -messageId(peer, rank(), receivedFrom[peer]++);
      }
    }
    return numbered;
  }

  /** A positive number below 2^52, so that JSON keeps it: the same on both ends. */
  private long messageId(int from, int to, long sequence) {
    long hash = recorder.name(group).hashCode();
    for (long part : new long[] {from, to, sequence}) {
      hash = (hash ^ part) * 0x9E3779B97F4A7C15L;
      hash ^= hash >>> 29;
    }
    return 1 + (hash >>> 13);
  }

  // ---- blocking helpers

  @Override
  public void barrier() {
    Operation operation = new Operation(CommunicationKind.BARRIER);
    target().barrier();
    operation.blocked();
  }

  @Override
  public double allReduce(double value, ReduceOp op) {
    Operation operation = new Operation(CommunicationKind.HOST_ALL_REDUCE);
    double result = target().allReduce(value, op);
    operation.blocked();
    return result;
  }

  @Override
  public void allReduce(double[] values, ReduceOp op) {
    Operation operation = new Operation(CommunicationKind.HOST_ALL_REDUCE);
    target().allReduce(values, op);
    operation.blocked();
  }

  @Override
  public long allReduce(long value, ReduceOp op) {
    Operation operation = new Operation(CommunicationKind.HOST_ALL_REDUCE);
    long result = target().allReduce(value, op);
    operation.blocked();
    return result;
  }

  @Override
  public void allReduce(long[] values, ReduceOp op) {
    Operation operation = new Operation(CommunicationKind.HOST_ALL_REDUCE);
    target().allReduce(values, op);
    operation.blocked();
  }

  @Override
  public long[][] allGather(long[] values) {
    Operation operation = new Operation(CommunicationKind.HOST_ALL_GATHER);
    long[][] result = target().allGather(values);
    operation.blocked();
    return result;
  }

  /** One operation, from before its call on. */
  private final class Operation implements Handle {
    private final CommunicationKind kind;
    private final long[] span;
    private final CommunicationStatistics.Traffic before;
    private long[] messages = {};
    private @Nullable Handle handle;

    Operation(CommunicationKind kind) {
      this.kind = kind;
      this.before = target().statistics().of(kind);
      this.span = recorder.posted(operations[kind.ordinal()], group);
    }

    private void count() {
      CommunicationStatistics.Traffic after = target().statistics().of(kind);
      span[TraceRecorder.SENT] = after.sentBytes() - before.sentBytes();
      span[TraceRecorder.RECEIVED] = after.receivedBytes() - before.receivedBytes();
    }

    Handle posted(Handle underWay) {
      count();
      handle = underWay;
      return this;
    }

    /** The call returned when the operation was complete. */
    void blocked() {
      count();
      long end = System.nanoTime();
      recorder.waited(waits[kind.ordinal()], group, span[TraceRecorder.START], end);
      complete(end);
    }

    @Override
    public void await() {
      Handle underWay = handle;
      if (underWay != null) {
        long start = System.nanoTime();
        underWay.await();
        long end = System.nanoTime();
        recorder.waited(waits[kind.ordinal()], group, start, end);
        complete(end);
      }
    }

    @Override
    public boolean isDone() {
      Handle underWay = handle;
      if (underWay == null) {
        return true;
      }
      if (!underWay.isDone()) {
        return false;
      }
      complete(System.nanoTime());
      return true;
    }

    private void complete(long end) {
      handle = null;
      span[TraceRecorder.END] = end;
      long number = recorder.communicated(span);
      for (long message : messages) {
        if (message != 0) {
          recorder.message(number, span[TraceRecorder.STEP], message > 0, Math.abs(message));
        }
      }
    }
  }
}
