package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Transfer;
import java.util.ArrayDeque;

/**
 * The messages from one member to another that wait for their other end. The n-th send belongs to
 * the n-th receive, so at any time only sends wait or only receives. Guarded by the group's lock.
 */
final class Channel {
  private final int from;
  private final int to;
  private final ArrayDeque<Message> waiting = new ArrayDeque<>();
  private long sends;
  private long receives;

  Channel(int from, int to) {
    this.from = from;
    this.to = to;
  }

  /** The message that this end belongs to: one that waits for it, or a new one. */
  Message post(Transfer transfer) {
    long number = transfer.isSend() ? sends++ : receives++;
    Message message;
    if (!waiting.isEmpty() && waiting.peekFirst().hasSender() != transfer.isSend()) {
      message = waiting.removeFirst();
    } else {
      message = new Message(from, to, number);
      waiting.addLast(message);
    }
    return message;
  }

  boolean isEmpty() {
    return waiting.isEmpty();
  }

  /** The first message that waits, in words. */
  String describeWaiting(LocalGroup group) {
    return describe(waiting.getFirst(), group);
  }

  /** A message of which one end is missing, in words. */
  static String describe(Message message, LocalGroup group) {
    int sender = group.globalRanks.get(message.from);
    int receiver = group.globalRanks.get(message.to);
    Transfer end = message.anyEnd();
    String what = "message " + message.number + " from rank " + sender + " to rank " + receiver
        + " (" + end.dtype() + " x " + end.elementCount() + ")";
    return message.hasSender()
        ? what + " was sent, but rank " + receiver + " has not posted the receive"
        : what + " is waited for, but rank " + sender + " has not posted the send";
  }
}
