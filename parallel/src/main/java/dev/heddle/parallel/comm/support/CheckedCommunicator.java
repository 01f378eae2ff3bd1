package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.List;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * What every communicator does before it moves a byte: it refuses what makes no sense on one rank,
 * counts what is communicated, notes which arrays change, and hands the call on to be posted.
 */
public abstract class CheckedCommunicator implements Communicator {
  private final GroupIdentity identity;
  private final int rank;
  private final CommunicationStatistics statistics = new CommunicationStatistics();
  private final CommunicationStatistics totals;
  private final double[] oneDouble = new double[1];
  private final long[] oneLong = new long[1];
  private final Predicate<Device> reach = this::reaches;

  /**
   * A member's access to a group.
   *
   * @param globalRank the member's number in the world
   * @param totals counts what the rank communicates in all groups
   */
  protected CheckedCommunicator(
      GroupIdentity identity, int globalRank, CommunicationStatistics totals) {
    this.identity = identity;
    this.rank = identity.globalRanks().indexOf(globalRank);
    this.totals = totals;
  }

  // ---- what an implementation adds

  /**
   * Whether this communicator moves arrays of that device; those in main memory unless it says so.
   */
  protected boolean reaches(Device device) {
    return device instanceof CpuDevice;
  }

  /** Refuses threads other than the rank's own. */
  protected abstract void checkThread();

  /** Posts a collective whose arguments make sense. */
  protected abstract Handle post(CollectiveArguments call, long sentBytes, long receivedBytes);

  /** Runs an all-gather of host values to its end. */
  protected abstract long[][] gather(CollectiveArguments call, long sentBytes, long receivedBytes);

  /** Posts messages that make sense. */
  protected abstract Handle postExchange(List<Message> messages);

  // ---- the group

  /** Which group this is. */
  public final GroupIdentity identity() {
    return identity;
  }

  @Override
  public final String name() {
    return identity.name();
  }

  @Override
  public final int rank() {
    return rank;
  }

  @Override
  public final int size() {
    return identity.size();
  }

  @Override
  public final int globalRank(int member) {
    return identity.globalRank(member);
  }

  @Override
  public final List<Integer> globalRanks() {
    return identity.globalRanks();
  }

  // ---- collectives

  @Override
  public final Handle allReduce(NDArray array, ReduceOp op) {
    CommunicationKind kind = CommunicationKind.ALL_REDUCE;
    checkArray(kind, array, true);
    CallChecks.reducible(identity, kind, array);
    array.block().touch();
    long bytes = bytes(array);
    return counted(arrays(kind, op, -1, array, List.of(), List.of()), bytes, bytes);
  }

  @Override
  public final Handle reduce(NDArray array, ReduceOp op, int root) {
    CommunicationKind kind = CommunicationKind.REDUCE;
    checkArray(kind, array, true);
    CallChecks.reducible(identity, kind, array);
    CallChecks.root(identity, kind, root, size());
    long bytes = bytes(array);
    if (rank == root) {
      array.block().touch();
    }
    CollectiveArguments call = arrays(kind, op, root, array, List.of(), List.of());
    return counted(call, bytes, rank == root ? bytes : 0);
  }

  @Override
  public final Handle broadcast(NDArray array, int root) {
    CommunicationKind kind = CommunicationKind.BROADCAST;
    checkArray(kind, array, rank != root);
    CallChecks.root(identity, kind, root, size());
    long bytes = bytes(array);
    if (rank != root) {
      array.block().touch();
    }
    CollectiveArguments call = arrays(kind, null, root, array, List.of(), List.of());
    return counted(call, rank == root ? bytes : 0, rank == root ? 0 : bytes);
  }

  @Override
  public final Handle allGather(NDArray part, List<NDArray> wholes) {
    CommunicationKind kind = CommunicationKind.ALL_GATHER;
    checkArray(kind, part, false);
    checkDestinations(kind, wholes, part);
    CollectiveArguments call = arrays(kind, null, -1, part, List.of(), wholes);
    return counted(call, bytes(part), bytes(wholes));
  }

  @Override
  public final Handle gather(NDArray part, List<NDArray> wholes, int root) {
    CommunicationKind kind = CommunicationKind.GATHER;
    checkArray(kind, part, false);
    CallChecks.root(identity, kind, root, size());
    List<NDArray> used = onRoot(wholes, root);
    if (rank == root) {
      checkDestinations(kind, used, part);
    }
    CollectiveArguments call = arrays(kind, null, root, part, List.of(), used);
    return counted(call, bytes(part), bytes(used));
  }

  @Override
  public final Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    CommunicationKind kind = CommunicationKind.SCATTER;
    checkArray(kind, part, true);
    CallChecks.root(identity, kind, root, size());
    List<NDArray> used = onRoot(wholes, root);
    if (rank == root) {
      CallChecks.parts(identity, kind, used, size(), part.dtype(), reach);
    }
    part.block().touch();
    CollectiveArguments call = arrays(kind, null, root, part, used, List.of());
    return counted(call, bytes(used), bytes(part));
  }

  @Override
  public final Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    CommunicationKind kind = CommunicationKind.REDUCE_SCATTER;
    checkArray(kind, part, true);
    CallChecks.reducible(identity, kind, part);
    CallChecks.parts(identity, kind, wholes, size(), part.dtype(), reach);
    part.block().touch();
    CollectiveArguments call = arrays(kind, op, -1, part, wholes, List.of());
    return counted(call, bytes(wholes), bytes(part));
  }

  @Override
  public final Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    CommunicationKind kind = CommunicationKind.ALL_TO_ALL;
    checkThread();
    CallChecks.parts(identity, kind, sources, size(), null, reach);
    CallChecks.parts(identity, kind, sources, size(), sources.get(0).dtype(), reach);
    checkDestinations(kind, destinations, sources.get(0));
    CollectiveArguments call = arrays(kind, null, -1, null, sources, destinations);
    return counted(call, bytes(sources), bytes(destinations));
  }

  // ---- point to point

  @Override
  public final Handle exchange(List<Message> messages) {
    checkThread();
    long sent = 0;
    long received = 0;
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      int peer = message.peer();
      if (peer < 0 || peer >= size()) {
        throw new IllegalArgumentException(
            "exchange in "
                + identity.describe()
                + ": got a "
                + message
                + ", wanted a member from 0"
                + " to "
                + (size() - 1));
      }
      CallChecks.reachable(identity, CommunicationKind.EXCHANGE, message.array(), reach);
      if (!message.isSend()) {
        CallChecks.writable(identity, CommunicationKind.EXCHANGE, message.array());
        message.array().block().touch();
      }
      if (peer != rank && message.isSend()) {
        sent += message.byteCount();
        statistics.recordSentTo(globalRank(peer), message.byteCount());
        totals.recordSentTo(globalRank(peer), message.byteCount());
      } else if (peer != rank) {
        received += message.byteCount();
      }
    }
    count(CommunicationKind.EXCHANGE, sent, received);
    return postExchange(messages);
  }

  // ---- blocking helpers

  @Override
  public final void barrier() {
    checkThread();
    hostValues(CommunicationKind.BARRIER, null, null, null, 0);
  }

  @Override
  public final double allReduce(double value, ReduceOp op) {
    oneDouble[0] = value;
    allReduce(oneDouble, op);
    return oneDouble[0];
  }

  @Override
  public final void allReduce(double[] values, ReduceOp op) {
    checkThread();
    hostValues(CommunicationKind.HOST_ALL_REDUCE, op, values, null, 8L * values.length);
  }

  @Override
  public final long allReduce(long value, ReduceOp op) {
    oneLong[0] = value;
    allReduce(oneLong, op);
    return oneLong[0];
  }

  @Override
  public final void allReduce(long[] values, ReduceOp op) {
    checkThread();
    hostValues(CommunicationKind.HOST_ALL_REDUCE, op, null, values, 8L * values.length);
  }

  private void hostValues(
      CommunicationKind kind,
      @Nullable ReduceOp op,
      double @Nullable [] doubles,
      long @Nullable [] longs,
      long bytes) {
    counted(CollectiveArguments.ofHostValues(kind, op, doubles, longs), bytes, bytes).await();
  }

  @Override
  public final long[][] allGather(long[] values) {
    checkThread();
    CommunicationKind kind = CommunicationKind.HOST_ALL_GATHER;
    long sent = 8L * values.length;
    count(kind, sent, sent * size());
    CollectiveArguments call = CollectiveArguments.ofHostValues(kind, null, null, values);
    return gather(call, sent, sent * size());
  }

  // ---- counting

  @Override
  public final CommunicationStatistics statistics() {
    return statistics;
  }

  @Override
  public final CommunicationStatistics totalStatistics() {
    return totals;
  }

  private void count(CommunicationKind kind, long sent, long received) {
    statistics.record(kind, sent, received);
    totals.record(kind, sent, received);
  }

  private Handle counted(CollectiveArguments call, long sentBytes, long receivedBytes) {
    count(call.kind(), sentBytes, receivedBytes);
    return post(call, sentBytes, receivedBytes);
  }

  // ---- arguments

  private static CollectiveArguments arrays(
      CommunicationKind kind,
      @Nullable ReduceOp op,
      int root,
      @Nullable NDArray array,
      List<NDArray> sources,
      List<NDArray> destinations) {
    return CollectiveArguments.ofArrays(kind, op, root, array, sources, destinations);
  }

  private void checkArray(CommunicationKind kind, NDArray array, boolean written) {
    checkThread();
    CallChecks.reachable(identity, kind, array, reach);
    if (written) {
      CallChecks.writable(identity, kind, array);
    }
  }

  private void checkDestinations(CommunicationKind kind, List<NDArray> arrays, NDArray like) {
    CallChecks.parts(identity, kind, arrays, size(), like.dtype(), reach);
    for (int i = 0; i < arrays.size(); i++) {
      CallChecks.writable(identity, kind, arrays.get(i));
      arrays.get(i).block().touch();
    }
  }

  private List<NDArray> onRoot(List<NDArray> wholes, int root) {
    return rank == root ? wholes : List.of();
  }

  private static long bytes(NDArray array) {
    return array.size() * array.dtype().byteSize();
  }

  private static long bytes(List<NDArray> arrays) {
    long bytes = 0;
    for (int i = 0; i < arrays.size(); i++) {
      bytes += bytes(arrays.get(i));
    }
    return bytes;
  }
}
