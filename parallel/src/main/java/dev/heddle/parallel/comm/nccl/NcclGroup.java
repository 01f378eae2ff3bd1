package dev.heddle.parallel.comm.nccl;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The NCCL communicators of a group of two or more members, as one rank has them: one for the
 * group's collectives, and for messages two for each binary digit of a member number.
 *
 * <p><b>Why several.</b> A stream runs its work in order, so of two operations on one stream the
 * later one waits until the partners of the earlier one have come. Collectives may share a stream,
 * because all members call them in the same order. Messages may not: a rank may send what is taken
 * late and receive meanwhile, and ranks that all send before they receive would wait for each other
 * for ever. A message from a to b goes by the highest binary digit in which their numbers differ,
 * and by whether a has a 0 there or b. Of the communicator of one digit and direction a rank uses
 * one side only, it sends or it receives; so what comes in never waits for what goes out, nor
 * either for a collective. What is left is that messages of one direction are taken in the order in
 * which they were sent, also where they go to different ranks; code that wants two flows
 * independent gives them two groups.
 *
 * <p><b>Why they are made when the group is.</b> {@code ncclCommInitRank} and {@code ncclCommSplit}
 * are calls of all members, but an exchange is called by those only who have messages: it could not
 * make a communicator. All members do call {@code subgroup}. And they alone do, so that a group
 * cannot be split off its parent, whose other members may not call it: each group meets by an
 * identifier of its own, which member 0 hands out over the control communicator of the group. Only
 * the communicators for messages, made by all members at that meeting, are split off the group's
 * first. It follows that ranks ask for their common groups in the same order.
 *
 * <p><b>Why they are connected then.</b> NCCL connects two ranks in the first call that needs it,
 * and that call does not return on the host before the other rank makes its own. A rank that posts
 * a send would wait for the receive to be posted, holding up what it would post next. So the
 * meeting ends with a byte sent between all pairs.
 */
final class NcclGroup {
  /**
   * Thread blocks that a message's kernel may hold while it waits for the other end; what is left
   * of the GPU computes. Not tuned: no GPU was at hand.
   */
  private static final int MESSAGE_BLOCKS = 8;

  /** What NCCL may take to connect members beside the time that their operations may take. */
  private static final long MEETING_GRACE_NANOS = 60_000_000_000L;

  /** How long the control communicator may ask absent ranks where they are. */
  private static final long COMPARISON_GRACE_NANOS = 5_000_000_000L;

  final GroupIdentity identity;
  final GroupBoard board;
  final NativeCommunicator collectives;
  private final NativeCommunicator[] messages;
  private final List<NativeCommunicator> all;
  private final int member;
  private final @Nullable CallCheck checks;

  private NcclGroup(
      GroupIdentity identity,
      int member,
      GroupBoard board,
      List<NativeCommunicator> made,
      @Nullable CallCheck checks) {
    this.checks = checks;
    this.identity = identity;
    this.member = member;
    this.board = board;
    this.all = made;
    this.collectives = made.get(0);
    this.messages = made.subList(1, made.size()).toArray(NativeCommunicator[]::new);
  }

  /** Meets the other members, over their control communicator first and then by NCCL. */
  @SuppressWarnings("try") // the scope owns the bytes
  static NcclGroup meet(GroupIdentity identity, Communicator control, NcclRank rank) {
    int size = identity.size();
    int member = control.rank();
    long[] own = member == 0 ? NcclLibrary.uniqueId() : new long[0];
    // A group of its own, so that who does not come is told as missing here and not in an
    // operation.
    String meeting = GroupIdentity.meetingOf(identity.name());
    Communicator place = control.subgroup(meeting, identity.globalRanks()).orElseThrow();
    long[] id = place.allGather(own)[0];
    GroupBoard board = GroupBoard.join(id, identity, member, rank);
    try (MemoryScope scope = MemoryScope.open()) {
      int digits = Integer.SIZE - Integer.numberOfLeadingZeros(size - 1);
      NDArray bytes = NDArray.empty(rank.device, DType.U8, 2L * size);
      List<NativeCommunicator> made =
          NativeMeeting.hold(
              identity.describe(),
              place,
              2 * rank.timeoutNanos() + MEETING_GRACE_NANOS,
              work -> {
                NativeCommunicator first =
                    work.made(
                        NativeCommunicator.meet(
                            rank.device, identity.describe(), size, member, id));
                NativeCommunicator[] messages = new NativeCommunicator[2 * digits];
                for (int i = 0; i < messages.length; i++) {
                  messages[i] = work.made(first.again(member, MESSAGE_BLOCKS));
                }
                connect(size, member, first, messages, bytes);
              });
      CallCheck checks =
          board.spansProcesses() && CallCheck.isOn() ? new CallCheck(control, rank.shapes()) : null;
      return new NcclGroup(identity, member, board, made, checks);
    } catch (RuntimeException failure) {
      board.leave();
      throw failure;
    }
  }

  /** Sends a byte between all pairs, and reduces one. */
  private static void connect(
      int size,
      int member,
      NativeCommunicator collectives,
      NativeCommunicator[] messages,
      NDArray bytes) {
    List<NativeCommunicator> all = new ArrayList<>(List.of(messages));
    all.add(0, collectives);
    for (NativeCommunicator each : all) {
      each.connect(
          (communicator, stream) -> {
            for (int peer = 0; peer < size; peer++) {
              if (peer != member) {
                boolean always = each == collectives;
                int type = NcclLibrary.type(DType.U8);
                if (always || each == between(messages, member, peer)) {
                  MemorySegment from = MemorySegment.ofAddress(bytes.address() + member);
                  each.check(Nccl.ncclSend(from, 1, type, peer, communicator, stream), "ncclSend");
                }
                if (always || each == between(messages, peer, member)) {
                  MemorySegment to = MemorySegment.ofAddress(bytes.address() + size + peer);
                  each.check(Nccl.ncclRecv(to, 1, type, peer, communicator, stream), "ncclRecv");
                }
              }
            }
          });
    }
    collectives.connect(
        (communicator, stream) -> {
          MemorySegment one = MemorySegment.ofAddress(bytes.address());
          int type = NcclLibrary.type(DType.U8);
          int op = NcclLibrary.op(ReduceOp.MAX);
          collectives.check(
              Nccl.ncclAllReduce(one, one, 1, type, op, communicator, stream), "ncclAllReduce");
        });
  }

  /** The communicator of messages from one member to another. */
  NativeCommunicator between(int from, int to) {
    return between(messages, from, to);
  }

  private static NativeCommunicator between(NativeCommunicator[] messages, int from, int to) {
    int digit = Integer.SIZE - 1 - Integer.numberOfLeadingZeros(from ^ to);
    return messages[2 * digit + (from < to ? 0 : 1)];
  }

  // ---- failure

  /** Throws if the group can communicate no more. */
  void refuseIfFailed() {
    Failure known = board.failure();
    if (known != null) {
      abort();
      throw known.toException();
    }
  }

  /** Asks NCCL for errors that came up meanwhile, and throws them. */
  void checkNative() {
    refuseIfFailed();
    Failure found = nativeFailure();
    if (found != null) {
      throw fail(found);
    }
  }

  // ---- what members in other processes call

  /**
   * Begins to compare a collective with those of members in other processes.
   *
   * @return the comparison, or null where there is nobody or nothing to compare with
   * @throws CommunicationException if the calls do not fit, as far as is known at once
   */
  @Nullable Handle compare(CollectiveArguments call) {
    CallCheck compared = checks;
    return compared == null ? null : begun(() -> compared.post(call));
  }

  /** The same for messages. */
  @Nullable Handle compare(List<Message> sentOrReceived) {
    CallCheck compared = checks;
    return compared == null ? null : begun(() -> compared.post(sentOrReceived, member));
  }

  private @Nullable Handle begun(Supplier<Handle> post) {
    return orFail(
        () -> {
          Handle comparison = post.get();
          return comparison.isDone() ? null : comparison;
        });
  }

  /** Whether a comparison has ended well. */
  boolean isCompared(Handle comparison) {
    return orFail(comparison::isDone);
  }

  /**
   * How long an operation may take before the watchdog ends it. Where calls are compared, the
   * control communicator is the first to tell of a rank that does not come, since it can say where
   * that rank is.
   */
  long timeoutNanos(NcclRank rank) {
    return checks == null ? rank.timeoutNanos() : 2 * rank.timeoutNanos() + COMPARISON_GRACE_NANOS;
  }

  /** Waits for a comparison to end well. */
  void awaitCompared(Handle comparison) {
    orFail(
        () -> {
          comparison.await();
          return true;
        });
  }

  private <T extends @Nullable Object> T orFail(Supplier<T> comparing) {
    try {
      return comparing.get();
    } catch (CommunicationException different) {
      throw fail(Failure.of(different));
    }
  }

  /** An error that NCCL found by itself; null if none. */
  @Nullable Failure nativeFailure() {
    for (NativeCommunicator each : all) {
      String error = each.asynchronousError();
      if (!error.isEmpty()) {
        return new Failure(
            Failure.Kind.BROKEN, "NCCL in " + identity.describe() + " failed: " + error, null);
      }
    }
    return null;
  }

  /** Ends the group; the exception to throw, of the first failure if there was one before. */
  CommunicationException fail(Failure failure) {
    Failure first = board.fail(failure);
    abort();
    return first.toException();
  }

  /** Ends this rank's NCCL communicators, and with them what waits on the GPU. */
  void abort() {
    all.forEach(NativeCommunicator::abort);
  }

  // ---- what the watchdog does

  /**
   * Looks once; fails the group if an operation is overdue, cannot complete, or NCCL reports an
   * error.
   *
   * @return whether an operation is past its time, so that the next look should come soon
   */
  boolean look(long now, long graceNanos, String timeout) {
    Failure known = board.failure();
    if (known == null) {
      known = nativeFailure();
      if (known == null) {
        known = unfinished(now, graceNanos, timeout);
      }
      if (known != null) {
        board.fail(known);
      }
    }
    if (known != null) {
      abort();
      return false;
    }
    boolean close = false;
    for (NativeCommunicator each : all) {
      close |= each.isWatchedClosely();
    }
    return close;
  }

  private @Nullable Failure unfinished(long now, long graceNanos, String timeout) {
    for (NativeCommunicator each : all) {
      NcclOperation overdue = each.overdue(now, graceNanos);
      if (overdue != null) {
        return new Failure(
            Failure.Kind.TIMEOUT,
            board.attendance(overdue, " timed out after " + timeout, member),
            null);
      }
      NcclOperation oldest = each.oldest();
      if (oldest != null && board.needsEnded(oldest)) {
        return new Failure(
            Failure.Kind.BROKEN,
            board.attendance(
                oldest, " cannot complete: a rank that it needs has ended its program", member),
            null);
      }
    }
    return null;
  }

  // ---- the end

  /** Tells the members of this process that this rank posts nothing more. */
  void ended() {
    board.ended(member);
  }

  /** Waits for all work, by which time peers have taken what was sent to them. */
  void drain() {
    all.forEach(NativeCommunicator::drain);
  }

  /** Ends the group's NCCL communicators, all work being done; the split ones first. */
  void destroy() {
    for (NativeCommunicator each : all.reversed()) {
      each.destroy();
    }
  }

  /** Gives back what is left, once the communicators are gone. */
  void close() {
    all.forEach(NativeCommunicator::closeStream);
    board.leave();
  }
}
