package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Failure;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.jspecify.annotations.Nullable;

/**
 * The meeting of a group's members in one collective. When all have posted their calls, the work is
 * cut into one unit for each member. A member takes its own first and then those that others have
 * not started, so a member that computes meanwhile holds up nobody; who does a unit changes no bit
 * of the result. Reused for later operations of the group.
 */
final class CollectiveOperation {
  private final LocalGroup group;
  private final int size;
  final @Nullable CollectiveCall[] calls;

  private final AtomicIntegerArray taken;
  private final AtomicInteger openUnits = new AtomicInteger();
  private final AtomicInteger unfinished = new AtomicInteger();
  private volatile int arrived;
  private volatile int untaken;
  private volatile boolean complete;
  private volatile @Nullable Failure broken;
  long sequence;

  CollectiveOperation(LocalGroup group, int size) {
    this.group = group;
    this.size = size;
    this.calls = new CollectiveCall[size];
    this.taken = new AtomicIntegerArray(size);
  }

  /** Makes it ready for the group's operation number {@code newSequence}. */
  void restart(long newSequence) {
    sequence = newSequence;
    for (int i = 0; i < size; i++) {
      calls[i] = null;
      taken.setPlain(i, 0);
    }
    openUnits.setPlain(size);
    unfinished.setPlain(size);
    complete = false;
    broken = null;
    arrived = 0;
    untaken = 1;
  }

  /** Adds a member's call, the group's lock being held. */
  void arrive(int member, CollectiveCall call) {
    calls[member] = call;
    int now = arrived + 1;
    arrived = now;
  }

  /** Says how a call does not fit those that came before; null when it does. */
  @Nullable String mismatch(int member, CollectiveArguments call) {
    for (int i = 0; i < size; i++) {
      CollectiveCall other = calls[i];
      if (other != null && !other.arguments.isAlike(call)) {
        return CollectiveArguments.differentCalls(who(other.arguments, i), who(call, member));
      }
      if (other != null) {
        break;
      }
    }
    boolean isLast = arrived == size - 1;
    return isLast && call.hasParts() ? partMismatch(member, call) : null;
  }

  /** What one member has for another must have the size that the other expects from it. */
  private @Nullable String partMismatch(int member, CollectiveArguments call) {
    for (int to = 0; to < size; to++) {
      for (int from = 0; from < size; from++) {
        CollectiveArguments sender = from == member ? call : call(from).arguments;
        CollectiveArguments receiver = to == member ? call : call(to).arguments;
        long sent = CollectiveArguments.sentElements(sender, from, to);
        long wanted = CollectiveArguments.wantedElements(receiver, from, to);
        if (sent != wanted) {
          return CollectiveArguments.differentSizes(
              who(sender, from), sent, group.identity.globalRank(to), wanted, who(receiver, to));
        }
      }
    }
    return null;
  }

  private String who(CollectiveArguments call, int member) {
    return "rank " + group.identity.globalRank(member) + " " + call.describe();
  }

  /** Whether all members have posted their calls. */
  boolean hasArrived() {
    return arrived == size;
  }

  boolean hasArrived(int member) {
    return calls[member] != null;
  }

  /** Whether all members have posted and something is left to take, or all is done. */
  boolean hasWork() {
    return complete || untaken != 0;
  }

  boolean isComplete() {
    return complete;
  }

  /** What went wrong in a unit, once complete; null when nothing did. */
  @Nullable Failure broken() {
    return broken;
  }

  CollectiveCall call(int member) {
    CollectiveCall call = calls[member];
    if (call == null) {
      throw new IllegalStateException("member " + member + " has not posted its call");
    }
    return call;
  }

  /** What a member that has come called it with. */
  CollectiveArguments arguments(int member) {
    return call(member).arguments;
  }

  /** Does all units that nobody has taken, {@code member}'s own first. */
  void work(int member, LocalRank worker) {
    if (untaken == 0) {
      return;
    }
    for (int i = 0; i < size; i++) {
      int unit = member + i < size ? member + i : member + i - size;
      if (taken.get(unit) == 0 && taken.compareAndSet(unit, 0, 1)) {
        try {
          CollectiveWork.run(this, unit, size, worker);
        } catch (Throwable thrown) {
          // Counted as done all the same: members must not unwind while others still copy.
          broken = group.broke(this, thrown);
        }
        if (openUnits.decrementAndGet() == 0) {
          complete = true;
          group.signalOthers(member);
        }
      }
    }
    untaken = 0;
  }

  /** Counts a member that has left; whether it was the last. */
  boolean leave() {
    return unfinished.decrementAndGet() == 0;
  }
}
