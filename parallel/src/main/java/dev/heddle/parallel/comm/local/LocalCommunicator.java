package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.CheckedCommunicator;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.GroupIdentity;
import java.util.List;
import java.util.Optional;

/** A rank's access to a group of threads of this JVM. */
final class LocalCommunicator extends CheckedCommunicator {
  // Up to this many bytes the last rank to come does all the work at once: waking others to share
  // it would take longer.
  private static final long SMALL_BYTES = 32 * 1024;

  final LocalGroup group;
  final LocalRank me;
  private long nextOperation;
  private long nextExchange;

  LocalCommunicator(LocalGroup group, LocalRank me) {
    super(group.identity, me.globalRank, me.totals);
    this.group = group;
    this.me = me;
  }

  @Override
  public Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    me.checkThread();
    GroupIdentity part = identity().subgroup(name, globalRanks);
    if (!globalRanks.contains(me.globalRank)) {
      return Optional.empty();
    }
    return Optional.of(
        me.communicators.computeIfAbsent(
            group.run.group(part), key -> new LocalCommunicator(key, me)));
  }

  @Override
  protected Handle post(CollectiveArguments arguments, long sentBytes, long receivedBytes) {
    return postCall(arguments, sentBytes, receivedBytes);
  }

  private CollectiveCall postCall(
      CollectiveArguments arguments, long sentBytes, long receivedBytes) {
    CollectiveCall call = new CollectiveCall(this, arguments);
    me.posted(call);
    long sequence = nextOperation++;
    CollectiveOperation operation = group.post(rank(), sequence, call);
    call.posted(operation, sequence);
    arguments.retain();
    me.open.add(call);
    if (operation.hasArrived()) {
      if (sentBytes + receivedBytes <= SMALL_BYTES) {
        operation.work(rank(), me);
      } else {
        group.signalOthers(rank());
      }
    }
    return call;
  }

  @Override
  protected long[][] gather(CollectiveArguments arguments, long sentBytes, long receivedBytes) {
    CollectiveCall call = postCall(arguments, sentBytes, receivedBytes);
    call.await();
    long[][] gathered = call.gathered;
    if (gathered == null) {
      throw new IllegalStateException("allGather of host values gave no result");
    }
    return gathered;
  }

  @Override
  protected Handle postExchange(List<Message> messages) {
    ExchangeCall call = new ExchangeCall(this, messages, nextExchange++);
    me.posted(call);
    if (!messages.isEmpty()) {
      me.open.add(call);
    }
    return call;
  }

  @Override
  public void requireUsable() {
    me.checkThread();
    group.requireUsable();
  }

  @Override
  public void abort(Throwable cause) {
    me.abort(cause);
  }

  @Override
  protected void checkThread() {
    me.checkThread();
  }

  boolean waitFor(LocalRank.Condition condition) {
    return me.waitFor(condition, group.run.timeout.nanos());
  }
}
