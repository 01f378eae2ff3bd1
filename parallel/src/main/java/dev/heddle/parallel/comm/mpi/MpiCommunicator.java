package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.CheckedCommunicator;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/** A rank's access to a group of processes: the calls it has posted and what came for them. */
final class MpiCommunicator extends CheckedCommunicator {
  // How many calls a rank remembers to be able to tell others what it called.
  private static final int REMEMBERED = 16;

  /** The messages between this rank and one member. */
  static final class Channel {
    final ArrayDeque<MpiExchange.Receive> waiting = new ArrayDeque<>();
    final ArrayDeque<Arrival> arrived = new ArrayDeque<>();
    long sends;
    long receives;
  }

  final MpiRank me;
  final long key;
  private final Channel[] channels;

  // Few at a time, the newest last.
  private final List<MpiCollective> open = new ArrayList<>();
  private final Map<Long, List<Arrival>> early = new HashMap<>();
  private final AtomicReferenceArray<@Nullable MpiCollective> recent =
      new AtomicReferenceArray<>(REMEMBERED);
  private long nextOperation;
  private long nextExchange;
  private int openExchanges;

  MpiCommunicator(GroupIdentity identity, long key, MpiRank me) {
    super(identity, me.globalRank, me.totals);
    this.me = me;
    this.key = key;
    this.channels = new Channel[identity.size()];
    for (int i = 0; i < channels.length; i++) {
      channels[i] = new Channel();
    }
  }

  @Override
  public Optional<Communicator> subgroup(String name, List<Integer> globalRanks) {
    me.checkThread();
    GroupIdentity part = identity().subgroup(name, globalRanks);
    return globalRanks.contains(me.globalRank)
        ? Optional.of(me.communicator(part))
        : Optional.empty();
  }

  @Override
  public void requireUsable() {
    me.checkThread();
    refuseIfFailed();
  }

  @Override
  public void abort(Throwable cause) {
    me.abort(cause);
  }

  @Override
  protected void checkThread() {
    me.checkThread();
  }

  // ---- posting

  @Override
  protected Handle post(CollectiveArguments arguments, long sentBytes, long receivedBytes) {
    return postCall(arguments);
  }

  @Override
  protected long[][] gather(CollectiveArguments arguments, long sentBytes, long receivedBytes) {
    MpiCollective call = postCall(arguments);
    call.await();
    return call.gathered();
  }

  private MpiCollective postCall(CollectiveArguments arguments) {
    refuseIfFailed();
    long sequence = nextOperation++;
    MpiCollective call = new MpiCollective(this, arguments, sequence);
    me.posted(call, identity());
    recent.set((int) (sequence % REMEMBERED), call);
    open.add(call);
    call.begin();
    List<Arrival> arrivals = early.isEmpty() ? null : early.remove(sequence);
    if (arrivals != null) {
      arrivals.forEach(call::arrive);
    }
    return call;
  }

  @Override
  protected Handle postExchange(List<Message> messages) {
    refuseIfFailed();
    MpiExchange call = new MpiExchange(this, messages, nextExchange++);
    me.posted(call, identity());
    openExchanges++;
    call.begin();
    return call;
  }

  Channel channel(int member) {
    return channels[member];
  }

  void finished(MpiCollective call) {
    for (int i = open.size() - 1; i >= 0; i--) {
      if (open.get(i) == call) {
        open.remove(i);
        return;
      }
    }
  }

  private @Nullable MpiCollective open(long sequence) {
    for (int i = open.size() - 1; i >= 0; i--) {
      if (open.get(i).sequence() == sequence) {
        return open.get(i);
      }
    }
    return null;
  }

  void finished(MpiExchange call) {
    openExchanges--;
  }

  // ---- parcels

  /** Takes a parcel for this group. */
  void arrive(Arrival arrival) {
    Header header = arrival.header();
    int from = globalRanks().indexOf(header.from());
    if (failure() != null || from < 0) {
      me.transport.discard(arrival);
    } else if (header.stage() == Header.EXCHANGE) {
      Channel channel = channels[from];
      if (channel.waiting.isEmpty()) {
        channel.arrived.addLast(arrival);
      } else {
        channel.waiting.removeFirst().deliver(arrival);
      }
    } else {
      arriveForCollective(arrival);
    }
  }

  private void arriveForCollective(Arrival arrival) {
    long sequence = arrival.header().number();
    MpiCollective call = open(sequence);
    if (call != null) {
      call.arrive(arrival);
    } else if (sequence >= nextOperation) {
      early.computeIfAbsent(sequence, number -> new ArrayList<>()).add(arrival);
    } else {
      // The call has failed here, and its group with it.
      me.transport.discard(arrival);
    }
  }

  /** Receives and forgets all that waits for calls that will not be made. */
  void drain() {
    early.values().forEach(arrivals -> arrivals.forEach(me.transport::discard));
    early.clear();
    for (Channel channel : channels) {
      channel.arrived.forEach(me.transport::discard);
      channel.arrived.clear();
    }
  }

  /** What was posted or sent and nobody waited for; empty if nothing. */
  String leftOver() {
    for (int i = 0; i < channels.length; i++) {
      Arrival arrival = channels[i].arrived.peekFirst();
      if (arrival != null) {
        return MpiExchange.describe(arrival.header(), this)
            + " was sent, but rank "
            + me.globalRank
            + " has not posted the receive in "
            + identity().describe();
      }
    }
    for (MpiCollective call : open) {
      return call.describe() + " in " + call.where() + " was not awaited by rank " + me.globalRank;
    }
    return openExchanges == 0
        ? ""
        : "an exchange of rank "
            + me.globalRank
            + " in "
            + identity().describe()
            + " was left incomplete";
  }

  // ---- failure

  /** Why the group can communicate no more; null while it can. */
  @Nullable Failure failure() {
    return me.run.failureOf(key);
  }

  private void refuseIfFailed() {
    Failure known = failure();
    if (known != null) {
      throw known.toException();
    }
  }

  /** Tells all members that the group has failed; the first failure, which may be another's. */
  Failure declare(Failure.Kind kind, String text) {
    return me.run.declare(key, kind, text);
  }

  /** What this rank called as a collective, for the question of another; any thread. */
  String callOf(long sequence) {
    if (sequence < 0) {
      return "";
    }
    MpiCollective call = recent.get((int) (sequence % REMEMBERED));
    return call != null && call.sequence() == sequence ? call.describe() : "";
  }

  /** A member's call, in words, with its rank. */
  String who(int member, long sequence) {
    int globalRank = globalRank(member);
    String call =
        member == rank()
            ? callOf(sequence)
            : Objects.requireNonNull(me.run.ask(List.of(globalRank), key, sequence).get(globalRank))
                .call();
    return "rank " + globalRank + " " + (call.isEmpty() ? "something else" : call);
  }
}
