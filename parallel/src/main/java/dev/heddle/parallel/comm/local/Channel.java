package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.MessageText;
import java.util.ArrayDeque;

/**
 * The messages from one member to another that wait for their other end. The n-th send belongs to
 * the n-th receive, so at any time only sends wait or only receives. Guarded by the group's lock.
 */
final class Channel {
  private final int from;
  private final int to;
  private final ArrayDeque<Delivery> waiting = new ArrayDeque<>();
  private long sends;
  private long receives;

  Channel(int from, int to) {
    this.from = from;
    this.to = to;
  }

  /** The delivery that this end belongs to: one that waits for it, or a new one. */
  Delivery post(Message message) {
    long number = message.isSend() ? sends++ : receives++;
    Delivery delivery;
    if (!waiting.isEmpty() && waiting.peekFirst().hasSender() != message.isSend()) {
      delivery = waiting.removeFirst();
    } else {
      delivery = new Delivery(from, to, number);
      waiting.addLast(delivery);
    }
    return delivery;
  }

  boolean isEmpty() {
    return waiting.isEmpty();
  }

  /** The first delivery that waits, in words. */
  String describeWaiting(LocalGroup group) {
    return describeHalf(waiting.getFirst(), group);
  }

  static String name(Delivery delivery, LocalGroup group) {
    return MessageText.of(
        delivery.number,
        group.identity.globalRank(delivery.from),
        group.identity.globalRank(delivery.to));
  }

  /** A message, in words. */
  static String describe(Delivery delivery, LocalGroup group) {
    Message end = delivery.anyEnd();
    return name(delivery, group) + " (" + end.dtype() + " x " + end.elementCount() + ")";
  }

  /** A message of which one end is missing, in words. */
  static String describeHalf(Delivery delivery, LocalGroup group) {
    return describe(delivery, group)
        + (delivery.hasSender()
            ? " was sent, but rank "
                + group.identity.globalRank(delivery.to)
                + " has not posted the receive"
            : " is waited for, but rank "
                + group.identity.globalRank(delivery.from)
                + " has not posted the send");
  }
}
