package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import dev.heddle.parallel.comm.support.LastCall;
import dev.heddle.parallel.comm.support.OpenCalls;
import dev.heddle.parallel.comm.support.PostedCall;
import dev.heddle.parallel.comm.support.Reducer;
import dev.heddle.parallel.comm.support.RunCursor;
import dev.heddle.parallel.comm.support.Whereabouts;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * This process's rank in a run: its groups, its transport, how it waits, and what it last did. The
 * rank's thread is the only one that communicates; the control link's thread reads what is volatile
 * here to answer questions.
 */
final class MpiRank {
  /** A wait that has begun. */
  static final class Wait {
    private long deadline;
    private int idle;
  }

  private static final int MANY_SPINS = 2_000;
  private static final int FEW_SPINS = 20;
  private static final int YIELDS = 200;
  private static final long SHORTEST_PARK_NANOS = 20_000;
  private static final long LONGEST_PARK_NANOS = 500_000;
  private static final long SETTLE_NANOS = 2_000_000_000L;
  private static final long ABANDON_NANOS = 10_000_000_000L;

  final MpiRun run;
  final int globalRank;
  final Transport transport;
  final CommunicationStatistics totals = new CommunicationStatistics();
  final RunCursor[] sources;
  final RunCursor[] destinations = {new RunCursor()};
  final Reducer reducer = new Reducer();

  /** What this rank has under way, failed calls with messages included. */
  final OpenCalls<MpiCall> open = new OpenCalls<>();

  private final Map<Long, MpiCommunicator> groups = new ConcurrentHashMap<>();
  private final Map<Long, List<Arrival>> homeless = new HashMap<>();
  private @Nullable MpiCommunicator lastRouted;
  private final Thread thread = Thread.currentThread();
  private final int spins;
  private volatile boolean ended;
  private final LastCall lastCall = new LastCall();

  /**
   * The rank of the calling thread.
   *
   * @param coreEach whether every process on this host has a core of its own
   */
  MpiRank(MpiRun run, int globalRank, int size, boolean coreEach, TransportMaker maker) {
    this.run = run;
    this.globalRank = globalRank;
    this.sources = new RunCursor[size];
    for (int i = 0; i < size; i++) {
      sources[i] = new RunCursor();
    }
    this.spins = coreEach ? MANY_SPINS : FEW_SPINS;
    this.transport = maker.make(this::route);
  }

  /** Makes the transport that hands parcels to a rank. */
  @FunctionalInterface
  interface TransportMaker {
    Transport make(Consumer<Arrival> router);
  }

  void checkThread() {
    Whereabouts.checkThread(globalRank, thread);
  }

  /** Interrupts the rank's thread. */
  void interrupt() {
    thread.interrupt();
  }

  // ---- groups

  /** This rank's access to a group; the same for the same name and ranks. */
  MpiCommunicator communicator(GroupIdentity identity) {
    long key = key(identity);
    MpiCommunicator known = groups.get(key);
    if (known == null) {
      known = new MpiCommunicator(identity, key, this);
      groups.put(key, known);
      List<Arrival> early = homeless.remove(key);
      if (early != null) {
        early.forEach(known::arrive);
      }
    }
    if (!known.identity().equals(identity)) {
      throw new IllegalStateException(
          known.identity().describe()
              + " and "
              + identity.describe()
              + " have the same key; name one of them differently");
    }
    return known;
  }

  /** The group of that key if this rank has asked for it; for any thread. */
  @Nullable MpiCommunicator find(long key) {
    return groups.get(key);
  }

  /** The same number for the same group on every rank. */
  private static long key(GroupIdentity identity) {
    long hash = 0xcbf29ce484222325L;
    for (int i = 0; i < identity.name().length(); i++) {
      hash = mix(hash ^ identity.name().charAt(i));
    }
    for (int i = 0; i < identity.size(); i++) {
      hash = mix(hash ^ (identity.globalRank(i) + 0x10000L));
    }
    return hash;
  }

  private static long mix(long value) {
    long z = value * 0x9e3779b97f4a7c15L;
    return z ^ (z >>> 29);
  }

  private void route(Arrival arrival) {
    long key = arrival.header().group();
    MpiCommunicator last = lastRouted;
    MpiCommunicator group = last != null && last.key == key ? last : groups.get(key);
    if (group != null) {
      lastRouted = group;
      group.arrive(arrival);
    } else if (run.hasFailed()) {
      transport.discard(arrival);
    } else {
      homeless.computeIfAbsent(key, absent -> new ArrayList<>()).add(arrival);
    }
  }

  // ---- progress

  boolean progress() {
    return transport.progress();
  }

  Wait beginWait() {
    Wait wait = new Wait();
    wait.deadline = System.nanoTime() + run.timeout.nanos();
    return wait;
  }

  /** Makes way for other ranks for a moment; whether the time is up, which begins it anew. */
  boolean waited(Wait wait) {
    if (wait.idle < spins) {
      Thread.onSpinWait();
    } else if (wait.idle < spins + YIELDS) {
      Thread.yield();
    } else {
      long park = SHORTEST_PARK_NANOS * (1 + (wait.idle - spins - YIELDS) / 16);
      LockSupport.parkNanos(this, Math.min(park, LONGEST_PARK_NANOS));
      if (Thread.interrupted()) {
        throw new CommunicationException(
            "rank " + globalRank + " was interrupted while it waited for other ranks", null);
      }
    }
    wait.idle++;
    long now = System.nanoTime();
    if (now < wait.deadline) {
      return false;
    }
    wait.deadline = now + run.timeout.nanos();
    return true;
  }

  /** Gives the messages of a failed call's arrays a while to end, so that those can be freed. */
  void settle(MpiCall call) {
    long deadline = System.nanoTime() + SETTLE_NANOS;
    while (call.messages() > 0 && System.nanoTime() < deadline) {
      progressAfterFailure();
    }
  }

  /**
   * Moves what can be moved; once the run has failed, what others send is received and forgotten.
   */
  private void progressAfterFailure() {
    if (run.hasFailed()) {
      drain();
    }
    if (!progress()) {
      LockSupport.parkNanos(this, SHORTEST_PARK_NANOS);
    }
  }

  /** Stops the run because this rank has failed, and sees through what it has under way. */
  void abort(Throwable cause) {
    checkThread();
    Failure failure = run.abort(cause);
    boolean interrupted = false;
    open.snapshot().forEach(call -> call.giveUp(failure));
    long start = System.nanoTime();
    // The others receive and forget what this rank has sent them, once they know.
    while (open.last() != null) {
      long since = System.nanoTime() - start;
      if (since > ABANDON_NANOS || (since > SETTLE_NANOS && run.lacksRanks())) {
        break;
      }
      progressAfterFailure();
      interrupted |= Thread.interrupted();
    }
    if (interrupted) {
      thread.interrupt();
    }
  }

  /** Receives and forgets all that waits for calls that will not be made. */
  void drain() {
    homeless.values().forEach(arrivals -> arrivals.forEach(transport::discard));
    homeless.clear();
    groups.values().forEach(MpiCommunicator::drain);
  }

  /** What was posted or sent and nobody waited for; empty if nothing. */
  String leftOver() {
    for (MpiCommunicator group : groups.values()) {
      String left = group.leftOver();
      if (!left.isEmpty()) {
        return left;
      }
    }
    for (List<Arrival> arrivals : homeless.values()) {
      Header header = arrivals.get(0).header();
      return "rank "
          + header.from()
          + " sent to rank "
          + globalRank
          + " in a group that this rank has not asked for";
    }
    return "";
  }

  // ---- what it did, for messages

  void posted(PostedCall call, GroupIdentity group) {
    lastCall.posted(call, group);
  }

  void end() {
    ended = true;
  }

  String whereabouts() {
    return Whereabouts.of(globalRank, lastCall.get(), ended, thread);
  }
}
