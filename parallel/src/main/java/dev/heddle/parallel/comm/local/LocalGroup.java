package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * What the members of a group share: the collectives under way, by their number in the group's
 * sequence, the channels for messages, and the failure that ended the group, if one did.
 *
 * <p>Its lock guards who has come to which collective, so "all came" and "timed out" cannot both be
 * true; bytes are moved outside it. Messages take no lock: each {@link Delivery} decides that by
 * itself.
 */
final class LocalGroup {
  final LocalRun run;
  final GroupIdentity identity;
  final GroupLock lock = new GroupLock();
  private final LocalRank[] members;

  // Operations under way, at their sequence number modulo the length, which is a power of two.
  private @Nullable CollectiveOperation[] window = new CollectiveOperation[8];
  private final ArrayDeque<CollectiveOperation> idle = new ArrayDeque<>();
  private final AtomicReferenceArray<@Nullable Channel> channels;
  private volatile @Nullable Failure failure;

  LocalGroup(LocalRun run, GroupIdentity identity) {
    this.run = run;
    this.identity = identity;
    this.members = identity.globalRanks().stream().map(run::rank).toArray(LocalRank[]::new);
    this.channels = new AtomicReferenceArray<>(members.length * members.length);
  }

  int size() {
    return members.length;
  }

  LocalRank member(int index) {
    return members[index];
  }

  /** For example {@code tp (ranks 0,1)}. */
  String describe() {
    return identity.describe();
  }

  // ---- collectives

  /** Enters a call as the member's operation number {@code sequence}. */
  CollectiveOperation post(int member, long sequence, CollectiveCall call) {
    Failure refused = null;
    CollectiveOperation operation = null;
    lock.lock();
    try {
      refuseIfFailed();
      operation = operation(sequence);
      String mismatch = operation.mismatch(member, call.arguments);
      if (mismatch == null) {
        operation.arrive(member, call);
      } else {
        refused =
            new Failure(
                Failure.Kind.MISMATCH, describe() + ", operation " + sequence + mismatch, null);
        failure = refused;
      }
    } finally {
      lock.unlock();
    }
    if (refused != null) {
      signalOthers(member);
      throw refused.toException();
    }
    return operation;
  }

  private CollectiveOperation operation(long sequence) {
    while (true) {
      int slot = (int) (sequence & (window.length - 1));
      CollectiveOperation found = window[slot];
      if (found == null) {
        CollectiveOperation next = idle.pollLast();
        CollectiveOperation operation = next == null ? new CollectiveOperation(this, size()) : next;
        operation.restart(sequence);
        window[slot] = operation;
        return operation;
      }
      if (found.sequence == sequence) {
        return found;
      }
      growWindow();
    }
  }

  private void growWindow() {
    @Nullable CollectiveOperation[] larger = new CollectiveOperation[2 * window.length];
    for (CollectiveOperation operation : window) {
      if (operation != null) {
        larger[(int) (operation.sequence & (larger.length - 1))] = operation;
      }
    }
    window = larger;
  }

  /** A member is done with a complete operation; the last one makes it ready for reuse. */
  void finish(CollectiveOperation operation) {
    if (operation.leave()) {
      lock.lock();
      try {
        window[(int) (operation.sequence & (window.length - 1))] = null;
        idle.addLast(operation);
      } finally {
        lock.unlock();
      }
    }
  }

  // ---- messages

  /** The messages from one member to another. */
  Channel channel(int from, int to) {
    int index = from * size() + to;
    Channel channel = channels.get(index);
    if (channel == null) {
      Channel made = new Channel(from, to);
      Channel found = channels.compareAndExchange(index, null, made);
      channel = found == null ? made : found;
    }
    return channel;
  }

  // ---- waking

  void signal(int member) {
    members[member].signal();
  }

  void signalOthers(int member) {
    for (int i = 0; i < members.length; i++) {
      if (i != member) {
        members[i].signal();
      }
    }
  }

  // ---- failure

  /** Throws if the group cannot be used any more. */
  void requireUsable() {
    if (!hasFailed()) {
      return;
    }
    lock.lock();
    try {
      refuseIfFailed();
    } finally {
      lock.unlock();
    }
  }

  /** Throws if the group cannot be used any more; the lock is held. */
  void refuseIfFailed() {
    Failure known = knownFailure();
    if (known != null) {
      throw known.toException();
    }
  }

  /** Whether the group or the whole run has failed. */
  boolean hasFailed() {
    return failure != null || run.failure() != null;
  }

  /** The failure that ended the group or the whole run; null if none did. */
  @Nullable Failure failure() {
    lock.lock();
    try {
      return knownFailure();
    } finally {
      lock.unlock();
    }
  }

  /** The group's failure, which the run's becomes; the lock is held. */
  @Nullable Failure knownFailure() {
    if (failure == null) {
      failure = run.failure();
    }
    return failure;
  }

  /** Whether the operation, to which not all have come, cannot complete any more. */
  boolean isHopeless(CollectiveOperation operation) {
    if (hasFailed()) {
      return true;
    }
    for (int i = 0; run.someRankEnded() && i < members.length; i++) {
      // In this order: what a rank posted before it ended is seen.
      if (members[i].hasEnded() && !operation.hasArrived(i)) {
        return true;
      }
    }
    return false;
  }

  /**
   * The failure that keeps the operation from completing, or null. Once it is not null, nobody
   * touches the arrays of the operation any more.
   */
  @Nullable Failure failureOf(CollectiveOperation operation) {
    if (!isHopeless(operation)) {
      return null;
    }
    Failure found;
    lock.lock();
    try {
      if (operation.hasArrived()) {
        return null;
      }
      found = knownFailure();
      if (found == null) {
        found = missingMemberEnded(operation);
        failure = found;
      }
    } finally {
      lock.unlock();
    }
    signalOthers(-1);
    return found;
  }

  private @Nullable Failure missingMemberEnded(CollectiveOperation operation) {
    for (int i = 0; i < size(); i++) {
      if (!operation.hasArrived(i) && members[i].hasEnded()) {
        return new Failure(
            Failure.Kind.BROKEN,
            attendance(operation, " cannot complete: a rank that it needs has ended its program"),
            null);
      }
    }
    return null;
  }

  /** Fails the operation unless all members have come meanwhile. */
  void timeOut(CollectiveOperation operation) {
    lock.lock();
    try {
      if (operation.hasArrived() || failure != null) {
        return;
      }
      failure =
          new Failure(
              Failure.Kind.TIMEOUT, attendance(operation, " timed out after " + run.timeout), null);
    } finally {
      lock.unlock();
    }
    signalOthers(-1);
  }

  /** Ends the group with a failure that is known already, unless it has ended. */
  Failure fail(Failure newFailure) {
    Failure first;
    lock.lock();
    try {
      if (failure == null) {
        failure = newFailure;
      }
      first = failure == null ? newFailure : failure;
    } finally {
      lock.unlock();
    }
    signalOthers(-1);
    return first;
  }

  /** Ends the group because moving bytes failed. */
  Failure broke(CollectiveOperation operation, Throwable thrown) {
    String what = describe() + ", operation " + operation.sequence + " failed: " + thrown;
    return fail(new Failure(Failure.Kind.BROKEN, what, thrown));
  }

  /** Names the operation, who came and who did not. */
  private String attendance(CollectiveOperation operation, String what) {
    StringBuilder came = new StringBuilder();
    StringBuilder missing = new StringBuilder();
    String called = "";
    for (int i = 0; i < size(); i++) {
      CollectiveCall call = operation.calls[i];
      if (call == null) {
        missing.append(missing.isEmpty() ? "" : ", ").append(members[i].whereabouts());
      } else {
        called = call.describe();
        came.append(came.isEmpty() ? "rank " : ", rank ").append(identity.globalRank(i));
      }
    }
    return called
        + " in "
        + describe()
        + ", operation "
        + operation.sequence
        + what
        + "; came: "
        + came
        + "; did not come: "
        + missing;
  }

  /** What was posted and never completed, when all ranks have ended; null if nothing. */
  @Nullable String leftOver() {
    lock.lock();
    try {
      for (CollectiveOperation operation : window) {
        if (operation != null) {
          String what =
              operation.hasArrived() ? " was not awaited by every rank" : " was left incomplete";
          return attendance(operation, what);
        }
      }
      for (int i = 0; i < channels.length(); i++) {
        Channel channel = channels.get(i);
        String waiting = channel == null ? null : channel.describeWaiting(this);
        if (waiting != null) {
          return waiting + " in " + describe();
        }
      }
      return null;
    } finally {
      lock.unlock();
    }
  }
}
