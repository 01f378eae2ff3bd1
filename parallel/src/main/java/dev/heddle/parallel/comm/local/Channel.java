package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.MessageText;
import org.jspecify.annotations.Nullable;

/**
 * The messages from one member to another, a chain of deliveries. The n-th send belongs to the n-th
 * receive, so each end walks the chain by itself, the sender's thread one place and the receiver's
 * another; who comes to a place first appends the delivery, already with its message in it, and
 * nobody takes a lock.
 */
final class Channel {
  private final int from;
  private final int to;

  // The last delivery that each end has come to; each is its own thread's.
  private Delivery lastSend;
  private Delivery lastReceive;

  Channel(int from, int to) {
    this.from = from;
    this.to = to;
    Delivery before = Delivery.beforeAll(from, to);
    this.lastSend = before;
    this.lastReceive = before;
  }

  /**
   * The delivery that this end belongs to: a new one with the message as its first end, or one that
   * has the other end already and is still to be {@linkplain Delivery#match given} this one.
   */
  Delivery post(Message message) {
    Delivery last = message.isSend() ? lastSend : lastReceive;
    Delivery next = last.advance(new Delivery(from, to, last.number + 1, message));
    if (message.isSend()) {
      lastSend = next;
    } else {
      lastReceive = next;
    }
    return next;
  }

  /** The first delivery that waits, in words, when both ends' threads have ended; null if none. */
  @Nullable String describeWaiting(LocalGroup group) {
    Delivery behind = lastSend.number < lastReceive.number ? lastSend : lastReceive;
    Delivery waiting = behind.next();
    return waiting == null ? null : describeHalf(waiting, group);
  }

  static String name(Delivery delivery, LocalGroup group) {
    return MessageText.of(
        delivery.number,
        group.identity.globalRank(delivery.from),
        group.identity.globalRank(delivery.to));
  }

  /** A message, in words. */
  static String describe(Delivery delivery, LocalGroup group) {
    Message end = delivery.firstEnd();
    return name(delivery, group) + " (" + end.dtype() + " x " + end.elementCount() + ")";
  }

  /** A message of which one end is missing, in words. */
  static String describeHalf(Delivery delivery, LocalGroup group) {
    return describe(delivery, group)
        + (delivery.firstEnd().isSend()
            ? " was sent, but rank "
                + group.identity.globalRank(delivery.to)
                + " has not posted the receive"
            : " is waited for, but rank "
                + group.identity.globalRank(delivery.from)
                + " has not posted the send");
  }
}
