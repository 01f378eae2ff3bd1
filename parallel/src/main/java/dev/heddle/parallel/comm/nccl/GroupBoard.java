package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * What the members of a group that are in this process know of each other: who has come to which
 * operation, messages of which one end is posted, and the failure that ended the group. NCCL
 * compares nothing and tells nobody who is missing; ranks of one process can. Of ranks in other
 * processes it knows nothing, and says so.
 */
final class GroupBoard {
  private static final int SHOWN = 8;
  private static final Map<List<Long>, GroupBoard> BOARDS = new HashMap<>();

  /** One end of a message. */
  static final class End {
    final int from;
    final int to;
    final long number;
    final Message message;
    private boolean met;

    private End(int from, int to, long number, Message message) {
      this.from = from;
      this.to = to;
      this.number = number;
      this.message = message;
    }

    private int peer() {
      return message.isSend() ? to : from;
    }
  }

  private static final class Channel {
    final ArrayDeque<End> waiting = new ArrayDeque<>();
    long sends;
    long receives;
  }

  private final List<Long> key;
  private final GroupIdentity identity;
  private final @Nullable NcclRank[] ranks;
  private final boolean[] ended;
  private int here;
  private final Map<Long, @Nullable NcclOperation[]> meetings = new HashMap<>();
  private final Map<Integer, Channel> channels = new HashMap<>();
  private volatile @Nullable Failure failure;

  private GroupBoard(List<Long> key, GroupIdentity identity) {
    this.key = key;
    this.identity = identity;
    this.ranks = new NcclRank[identity.size()];
    this.ended = new boolean[identity.size()];
  }

  /** The board of the group with that identifier, with one more member. */
  static GroupBoard join(long[] uniqueId, GroupIdentity identity, int member, NcclRank rank) {
    List<Long> key = Arrays.stream(uniqueId).boxed().toList();
    synchronized (BOARDS) {
      GroupBoard board = BOARDS.computeIfAbsent(key, id -> new GroupBoard(id, identity));
      synchronized (board) {
        board.ranks[member] = rank;
        board.here++;
      }
      return board;
    }
  }

  /** Whether there are members in other processes; known once all have met. */
  synchronized boolean spansProcesses() {
    return here < ranks.length;
  }

  /** A member has no more to do with the group. */
  void leave() {
    synchronized (BOARDS) {
      synchronized (this) {
        here--;
        if (here > 0) {
          return;
        }
      }
      BOARDS.remove(key);
    }
  }

  /** A member's program has ended; what it posted is still under way. */
  synchronized void ended(int member) {
    ended[member] = true;
  }

  // ---- failure

  /** Why the group can communicate no more; null while it can. */
  @Nullable Failure failure() {
    return failure;
  }

  /** Ends the group unless it has ended; the first failure. */
  synchronized Failure fail(Failure newFailure) {
    Failure first = failure;
    if (first == null) {
      failure = newFailure;
      first = newFailure;
    }
    return first;
  }

  private void refuseIfFailed() {
    Failure known = failure;
    if (known != null) {
      throw known.toException();
    }
  }

  // ---- collectives

  /**
   * Notes that a member has come to a collective.
   *
   * @throws dev.heddle.parallel.comm.CommunicationMismatchException if it calls another one than
   *     the members of this process that came before
   */
  synchronized void post(NcclOperation operation, CollectiveArguments call, int member) {
    refuseIfFailed();
    @Nullable NcclOperation[] meeting =
        meetings.computeIfAbsent(operation.sequence(), key -> new NcclOperation[ranks.length]);
    for (int i = 0; i < meeting.length; i++) {
      NcclOperation other = meeting[i];
      if (other != null && !other.arguments().isAlike(call)) {
        throw mismatch(
            operation,
            CollectiveArguments.differentCalls(who(i, other.arguments()), who(member, call)));
      }
    }
    meeting[member] = operation;
    if (allHereCame(meeting)) {
      meetings.remove(operation.sequence());
      String sizes = call.hasParts() ? differentSizes(meeting) : null;
      if (sizes != null) {
        throw mismatch(operation, sizes);
      }
    }
  }

  private RuntimeException mismatch(NcclOperation operation, String text) {
    String message = identity.describe() + ", operation " + operation.sequence() + text;
    return fail(new Failure(Failure.Kind.MISMATCH, message, null)).toException();
  }

  private String who(int member, CollectiveArguments call) {
    return "rank " + identity.globalRank(member) + " " + call.describe();
  }

  private boolean allHereCame(@Nullable NcclOperation[] meeting) {
    for (int i = 0; i < meeting.length; i++) {
      if (ranks[i] != null && meeting[i] == null) {
        return false;
      }
    }
    return true;
  }

  private @Nullable String differentSizes(@Nullable NcclOperation[] meeting) {
    for (int to = 0; to < meeting.length; to++) {
      for (int from = 0; from < meeting.length; from++) {
        NcclOperation sender = meeting[from];
        NcclOperation receiver = meeting[to];
        if (sender == null || receiver == null) {
          continue;
        }
        long sent = CollectiveArguments.sentElements(sender.arguments(), from, to);
        long wanted = CollectiveArguments.wantedElements(receiver.arguments(), from, to);
        if (sent != wanted) {
          return CollectiveArguments.differentSizes(
              who(from, sender.arguments()),
              sent,
              identity.globalRank(to),
              wanted,
              who(to, receiver.arguments()));
        }
      }
    }
    return null;
  }

  // ---- messages

  /**
   * Notes one end of a message; null if the peer is in another process.
   *
   * @throws dev.heddle.parallel.comm.CommunicationMismatchException if the other end is posted
   *     already and does not fit
   */
  synchronized @Nullable End post(int member, Message message) {
    refuseIfFailed();
    if (ranks[message.peer()] == null) {
      return null;
    }
    int from = message.isSend() ? member : message.peer();
    int to = message.isSend() ? message.peer() : member;
    Channel channel = channels.computeIfAbsent(from * ranks.length + to, key -> new Channel());
    End end = new End(from, to, message.isSend() ? channel.sends++ : channel.receives++, message);
    End other = channel.waiting.peekFirst();
    if (other == null || other.message.isSend() == message.isSend()) {
      channel.waiting.addLast(end);
      return end;
    }
    channel.waiting.removeFirst();
    other.met = true;
    end.met = true;
    if (other.message.dtype() != message.dtype()
        || other.message.elementCount() != message.elementCount()) {
      String text = doesNotFit(end, message.isSend() ? message : other.message, other, message);
      throw fail(new Failure(Failure.Kind.MISMATCH, text, null)).toException();
    }
    return end;
  }

  private String doesNotFit(End end, Message sent, End other, Message message) {
    Message received = sent == message ? other.message : message;
    return "exchange in %s: message %d from rank %d to rank %d does not fit: sent %s (of %s), received as %s (of %s)"
        .formatted(
            identity.describe(),
            end.number,
            identity.globalRank(end.from),
            identity.globalRank(end.to),
            amount(sent),
            sent.array(),
            amount(received),
            received.array());
  }

  private static String amount(Message message) {
    return message.dtype() + " x " + message.elementCount();
  }

  // ---- who is missing

  /** Whether the operation waits for a rank of this process whose program has ended. */
  synchronized boolean needsEnded(NcclOperation operation) {
    if (operation.isExchange()) {
      for (End end : operation.ends()) {
        if (!end.met && ended[end.peer()]) {
          return true;
        }
      }
      return false;
    }
    @Nullable NcclOperation[] meeting = meetings.get(operation.sequence());
    for (int i = 0; meeting != null && i < meeting.length; i++) {
      if (meeting[i] == null && ended[i]) {
        return true;
      }
    }
    return false;
  }

  /** Names the operation, what became of it, who came to it and who did not. */
  synchronized String attendance(NcclOperation operation, String what, int member) {
    return operation.isExchange()
        ? exchangeAttendance(operation, what, member)
        : collectiveAttendance(operation, what);
  }

  private String collectiveAttendance(NcclOperation operation, String what) {
    @Nullable NcclOperation[] meeting = meetings.get(operation.sequence());
    StringJoiner came = new StringJoiner(", ");
    StringJoiner missing = new StringJoiner(", ");
    StringJoiner elsewhere = new StringJoiner(", ");
    for (int i = 0; i < ranks.length; i++) {
      NcclRank rank = ranks[i];
      if (rank == null) {
        elsewhere.add("rank " + identity.globalRank(i));
      } else if (meeting == null || meeting[i] != null) {
        came.add("rank " + identity.globalRank(i));
      } else {
        missing.add(rank.whereabouts(ended[i]));
      }
    }
    String text = operation.describe() + " in " + operation.where() + what + "; came: " + came;
    if (missing.length() > 0) {
      text += "; did not come: " + missing;
    }
    if (elsewhere.length() > 0) {
      text += "; in other processes, whose logs say where they are: " + elsewhere;
    }
    return missing.length() + elsewhere.length() > 0
        ? text
        : text
            + "; all came, so a GPU has not got as far yet: work that it was given before, or"
            + " communication in another order than another rank's";
  }

  private String exchangeAttendance(NcclOperation operation, String what, int member) {
    StringJoiner lines = new StringJoiner("; ");
    lines.add(
        "exchange of rank " + identity.globalRank(member) + " in " + identity.describe() + what);
    TreeSet<Integer> peers = new TreeSet<>();
    int open = 0;
    for (End end : operation.ends()) {
      if (!end.met) {
        peers.add(end.peer());
        if (open++ < SHOWN) {
          lines.add(describeHalf(end));
        }
      }
    }
    if (open > SHOWN) {
      lines.add("and " + (open - SHOWN) + " more");
    }
    for (int peer : peers) {
      NcclRank rank = ranks[peer];
      if (rank != null) {
        lines.add(rank.whereabouts(ended[peer]));
      }
    }
    if (peers.isEmpty()) {
      lines.add(
          operation.describe() + " has not ended; ranks in other processes tell in their logs");
    }
    return lines.toString();
  }

  private String describeHalf(End end) {
    String message =
        "message %d from rank %d to rank %d (%s)"
            .formatted(
                end.number,
                identity.globalRank(end.from),
                identity.globalRank(end.to),
                amount(end.message));
    return end.message.isSend()
        ? message
            + " was sent, but rank "
            + identity.globalRank(end.to)
            + " has not posted the receive"
        : message
            + " is waited for, but rank "
            + identity.globalRank(end.from)
            + " has not posted the send";
  }
}
