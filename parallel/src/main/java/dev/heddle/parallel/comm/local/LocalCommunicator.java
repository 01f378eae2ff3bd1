package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.NDArray;
import java.util.List;
import java.util.Optional;

/** A rank's access to a group of threads of this JVM. */
final class LocalCommunicator implements Communicator {
  // Up to this many bytes the last rank to come does all the work at once: waking others to share
  // it would take longer.
  private static final long SMALL_BYTES = 32 * 1024;

  final LocalGroup group;
  final LocalRank me;
  private final int rank;
  private final CommunicationStatistics statistics = new CommunicationStatistics();
  private final double[] oneDouble = new double[1];
  private final long[] oneLong = new long[1];
  private long nextOperation;
  private long nextExchange;

  LocalCommunicator(LocalGroup group, LocalRank me) {
    this.group = group;
    this.me = me;
    this.rank = group.globalRanks.indexOf(me.globalRank);
  }

  // ---- the group

  @Override
  public String name() {
    return group.name;
  }

  @Override
  public int rank() {
    return rank;
  }

  @Override
  public int size() {
    return group.size();
  }

  @Override
  public int globalRank(int member) {
    return group.globalRanks.get(member);
  }

  @Override
  public List<Integer> globalRanks() {
    return group.globalRanks;
  }

  @Override
  public Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    me.checkThread();
    if (globalRanks.isEmpty()
        || !group.globalRanks.containsAll(globalRanks)
        || globalRanks.stream().distinct().count() != globalRanks.size()) {
      throw new IllegalArgumentException(
          "subgroup "
              + name
              + ": got ranks "
              + globalRanks
              + ", wanted distinct members of "
              + group.describe());
    }
    if (!globalRanks.contains(me.globalRank)) {
      return Optional.empty();
    }
    LocalGroup found = group.run.group(name, globalRanks);
    return Optional.of(
        me.communicators.computeIfAbsent(found, key -> new LocalCommunicator(key, me)));
  }

  // ---- collectives

  @Override
  public Handle allReduce(NDArray array, ReduceOp op) {
    checkArray(CommunicationKind.ALL_REDUCE, array, true);
    CallChecks.reducible(group, CommunicationKind.ALL_REDUCE, array);
    long bytes = bytes(array);
    array.block().touch();
    return post(call(CommunicationKind.ALL_REDUCE, op, -1, array), bytes, bytes);
  }

  @Override
  public Handle reduce(NDArray array, ReduceOp op, int root) {
    checkArray(CommunicationKind.REDUCE, array, true);
    CallChecks.reducible(group, CommunicationKind.REDUCE, array);
    CallChecks.root(group, CommunicationKind.REDUCE, root, size());
    long bytes = bytes(array);
    if (rank == root) {
      array.block().touch();
    }
    return post(call(CommunicationKind.REDUCE, op, root, array), bytes, rank == root ? bytes : 0);
  }

  @Override
  public Handle broadcast(NDArray array, int root) {
    checkArray(CommunicationKind.BROADCAST, array, rank != root);
    CallChecks.root(group, CommunicationKind.BROADCAST, root, size());
    long bytes = bytes(array);
    if (rank != root) {
      array.block().touch();
    }
    CollectiveCall call =
        new CollectiveCall(
            this, CommunicationKind.BROADCAST, null, root, array, List.of(), List.of());
    return post(call, rank == root ? bytes : 0, rank == root ? 0 : bytes);
  }

  @Override
  public Handle allGather(NDArray part, List<NDArray> wholes) {
    CommunicationKind kind = CommunicationKind.ALL_GATHER;
    checkArray(kind, part, false);
    checkDestinations(kind, wholes, part);
    CollectiveCall call = new CollectiveCall(this, kind, null, -1, part, List.of(), wholes);
    return post(call, bytes(part), CollectiveWork.bytes(wholes));
  }

  @Override
  public Handle gather(NDArray part, List<NDArray> wholes, int root) {
    CommunicationKind kind = CommunicationKind.GATHER;
    checkArray(kind, part, false);
    CallChecks.root(group, kind, root, size());
    List<NDArray> used = onRoot(wholes, root);
    if (rank == root) {
      checkDestinations(kind, used, part);
    }
    CollectiveCall call = new CollectiveCall(this, kind, null, root, part, List.of(), used);
    return post(call, bytes(part), CollectiveWork.bytes(used));
  }

  @Override
  public Handle scatter(List<NDArray> wholes, NDArray part, int root) {
    CommunicationKind kind = CommunicationKind.SCATTER;
    checkArray(kind, part, true);
    CallChecks.root(group, kind, root, size());
    List<NDArray> used = onRoot(wholes, root);
    if (rank == root) {
      CallChecks.parts(group, kind, used, size(), part.dtype());
    }
    part.block().touch();
    CollectiveCall call = new CollectiveCall(this, kind, null, root, part, used, List.of());
    return post(call, CollectiveWork.bytes(used), bytes(part));
  }

  @Override
  public Handle reduceScatter(List<NDArray> wholes, NDArray part, ReduceOp op) {
    CommunicationKind kind = CommunicationKind.REDUCE_SCATTER;
    checkArray(kind, part, true);
    CallChecks.reducible(group, kind, part);
    CallChecks.parts(group, kind, wholes, size(), part.dtype());
    part.block().touch();
    CollectiveCall call = new CollectiveCall(this, kind, op, -1, part, wholes, List.of());
    return post(call, CollectiveWork.bytes(wholes), bytes(part));
  }

  @Override
  public Handle allToAll(List<NDArray> sources, List<NDArray> destinations) {
    CommunicationKind kind = CommunicationKind.ALL_TO_ALL;
    me.checkThread();
    CallChecks.parts(group, kind, sources, size(), null);
    CallChecks.parts(group, kind, sources, size(), sources.get(0).dtype());
    checkDestinations(kind, destinations, sources.get(0));
    CollectiveCall call = new CollectiveCall(this, kind, null, -1, null, sources, destinations);
    return post(call, CollectiveWork.bytes(sources), CollectiveWork.bytes(destinations));
  }

  // ---- point to point

  @Override
  public Handle exchange(List<Message> messages) {
    me.checkThread();
    long sent = 0;
    long received = 0;
    for (int i = 0; i < messages.size(); i++) {
      Message message = messages.get(i);
      int peer = message.peer();
      if (peer < 0 || peer >= size()) {
        throw new IllegalArgumentException(
            "exchange in "
                + group.describe()
                + ": got a "
                + message
                + ", wanted a member from 0"
                + " to "
                + (size() - 1));
      }
      CallChecks.reachable(group, CommunicationKind.EXCHANGE, message.array());
      if (!message.isSend()) {
        CallChecks.writable(group, CommunicationKind.EXCHANGE, message.array());
        message.array().block().touch();
      }
      if (peer != rank && message.isSend()) {
        sent += message.byteCount();
        statistics.recordSentTo(globalRank(peer), message.byteCount());
        me.totals.recordSentTo(globalRank(peer), message.byteCount());
      } else if (peer != rank) {
        received += message.byteCount();
      }
    }
    count(CommunicationKind.EXCHANGE, sent, received);
    ExchangeCall call = new ExchangeCall(this, messages, nextExchange++);
    me.posted(call);
    return call;
  }

  // ---- blocking helpers

  @Override
  public void barrier() {
    me.checkThread();
    CollectiveCall call = new CollectiveCall(this, CommunicationKind.BARRIER, null, null, null);
    post(call, 0, 0).await();
  }

  @Override
  public double allReduce(double value, ReduceOp op) {
    oneDouble[0] = value;
    allReduce(oneDouble, op);
    return oneDouble[0];
  }

  @Override
  public void allReduce(double[] values, ReduceOp op) {
    me.checkThread();
    CollectiveCall call =
        new CollectiveCall(this, CommunicationKind.HOST_ALL_REDUCE, op, values, null);
    post(call, 8L * values.length, 8L * values.length).await();
  }

  @Override
  public long allReduce(long value, ReduceOp op) {
    oneLong[0] = value;
    allReduce(oneLong, op);
    return oneLong[0];
  }

  @Override
  public void allReduce(long[] values, ReduceOp op) {
    me.checkThread();
    CollectiveCall call =
        new CollectiveCall(this, CommunicationKind.HOST_ALL_REDUCE, op, null, values);
    post(call, 8L * values.length, 8L * values.length).await();
  }

  @Override
  public long[][] allGather(long[] values) {
    me.checkThread();
    CollectiveCall call =
        new CollectiveCall(this, CommunicationKind.HOST_ALL_GATHER, null, null, values);
    post(call, 8L * values.length, 8L * values.length * size()).await();
    long[][] gathered = call.gathered;
    if (gathered == null) {
      throw new IllegalStateException("allGather of host values gave no result");
    }
    return gathered;
  }

  // ---- counting

  @Override
  public CommunicationStatistics statistics() {
    return statistics;
  }

  @Override
  public CommunicationStatistics totalStatistics() {
    return me.totals;
  }

  private void count(CommunicationKind kind, long sent, long received) {
    statistics.record(kind, sent, received);
    me.totals.record(kind, sent, received);
  }

  // ---- posting

  private CollectiveCall call(CommunicationKind kind, ReduceOp op, int root, NDArray array) {
    return new CollectiveCall(this, kind, op, root, array, List.of(), List.of());
  }

  private Handle post(CollectiveCall call, long sentBytes, long receivedBytes) {
    count(call.kind, sentBytes, receivedBytes);
    me.posted(call);
    long sequence = nextOperation++;
    CollectiveOperation operation = group.post(rank, sequence, call);
    call.posted(operation, sequence);
    call.retain();
    if (operation.hasArrived()) {
      if (sentBytes + receivedBytes <= SMALL_BYTES) {
        operation.work(rank, me);
      } else {
        group.signalOthers(rank);
      }
    }
    return call;
  }

  void checkThread() {
    me.checkThread();
  }

  boolean waitFor(LocalRank.Condition condition) {
    return me.waitFor(condition, group.run.timeoutNanos());
  }

  // ---- checks

  private void checkArray(CommunicationKind kind, NDArray array, boolean written) {
    me.checkThread();
    CallChecks.reachable(group, kind, array);
    if (written) {
      CallChecks.writable(group, kind, array);
    }
  }

  private void checkDestinations(CommunicationKind kind, List<NDArray> arrays, NDArray like) {
    CallChecks.parts(group, kind, arrays, size(), like.dtype());
    for (int i = 0; i < arrays.size(); i++) {
      CallChecks.writable(group, kind, arrays.get(i));
      arrays.get(i).block().touch();
    }
  }

  private List<NDArray> onRoot(List<NDArray> wholes, int root) {
    return rank == root ? wholes : List.of();
  }

  private static long bytes(NDArray array) {
    return array.size() * array.dtype().byteSize();
  }
}
