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

  // Where each end's last delivery is, each its own thread's and on a cache line of its own: beside
  // each other both threads would fetch the line from the other core at every message.
  private static final int SEND = 32;
  private static final int RECEIVE = 64;
  private static final int LENGTH = 96;

  private final Delivery[] last = new Delivery[LENGTH];

  Channel(int from, int to) {
    this.from = from;
    this.to = to;
    Delivery before = Delivery.beforeAll(from, to);
    last[SEND] = before;
    last[RECEIVE] = before;
  }

  /**
   * The delivery that this end belongs to: a new one with the message as its first end, or one that
   * had the other end already, has this one now, and is still to be {@linkplain Delivery#match
   * matched}.
   */
  Delivery post(Message message) {
    int end = message.isSend() ? SEND : RECEIVE;
    Delivery before = last[end];
    Delivery next = before.advance(message);
    last[end] = next;
    return next;
  }

  /** The first delivery that waits, in words, when both ends' threads have ended; null if none. */
  @Nullable String describeWaiting(LocalGroup group) {
    Delivery behind = last[SEND].number < last[RECEIVE].number ? last[SEND] : last[RECEIVE];
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
