package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.MessageText;
import dev.heddle.parallel.comm.support.PostedCall;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.List;
import java.util.StringJoiner;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** One rank's call of an exchange: its messages, and its handle. */
final class ExchangeCall implements PostedCall, LocalRank.Condition {
  private static final VarHandle STATE;

  static {
    try {
      STATE = MethodHandles.lookup().findVarHandle(ExchangeCall.class, "state", State.class);
    } catch (ReflectiveOperationException impossible) {
      throw new ExceptionInInitializerError(impossible);
    }
  }

  private final LocalCommunicator communicator;
  private final Message[] messages;
  private final Delivery[] deliveries;
  private final long sequence;
  private int firstOpen;

  // Not volatile: it is written without a fence, which would wait for all that was copied to leave
  // the core, and others read it for messages only.
  private State state;

  /** Retains the arrays and posts all messages at once. */
  ExchangeCall(LocalCommunicator communicator, List<Message> messages, long sequence) {
    this.communicator = communicator;
    int count = messages.size();
    this.messages = new Message[count];
    for (int i = 0; i < count; i++) {
      this.messages[i] = messages.get(i);
    }
    this.deliveries = new Delivery[count];
    this.sequence = sequence;
    this.state = messages.isEmpty() ? State.COMPLETED : State.POSTED;
    post();
  }

  private void post() {
    LocalGroup group = communicator.group;
    group.requireUsable();
    for (int i = 0; i < deliveries.length; i++) {
      Failure refused = postOne(group, i);
      if (refused != null) {
        Failure failure = group.fail(refused);
        takeBack(group, i);
        throw failure.toException();
      }
    }
    retain();
  }

  /** Posts one message; what is wrong with it, or null. */
  private @Nullable Failure postOne(LocalGroup group, int index) {
    Message message = messages[index];
    int me = communicator.rank();
    int from = message.isSend() ? me : message.peer();
    int to = message.isSend() ? message.peer() : me;
    Delivery delivery = group.channel(from, to).post(message);
    deliveries[index] = delivery;
    if (delivery.firstEnd() == message) {
      return null;
    }
    String mismatch = mismatch(group, delivery, message);
    if (mismatch != null) {
      return new Failure(Failure.Kind.MISMATCH, mismatch, null);
    }
    delivery.match();
    group.signal(message.peer());
    return null;
  }

  /**
   * Takes the first messages back, and sees those deliveries through that a peer may be copying, so
   * that the arrays may be freed.
   */
  private void takeBack(LocalGroup group, int count) {
    for (int i = 0; i < count; i++) {
      Delivery delivery = deliveries[i];
      if (delivery.take()) {
        copy(group, delivery, messages[i].peer());
      }
      while (!delivery.isDone() && !delivery.cancel()) {
        Thread.yield();
      }
    }
  }

  private static @Nullable String mismatch(LocalGroup group, Delivery delivery, Message message) {
    Message other = delivery.firstEnd();
    if (other.dtype() == message.dtype() && other.elementCount() == message.elementCount()) {
      return null;
    }
    Message sent = message.isSend() ? message : other;
    Message received = message.isSend() ? other : message;
    return "exchange in "
        + group.describe()
        + ": "
        + Channel.name(delivery, group)
        + " does not fit: sent "
        + sent.dtype()
        + " x "
        + sent.elementCount()
        + " (of "
        + sent.array()
        + "), received as "
        + received.dtype()
        + " x "
        + received.elementCount()
        + " (of "
        + received.array()
        + ")";
  }

  private void retain() {
    for (Message message : messages) {
      message.array().retain();
    }
  }

  private void release() {
    for (Message message : messages) {
      message.array().release();
    }
  }

  // ---- the handle

  @Override
  public void await() {
    communicator.checkThread();
    while (!progress()) {
      if (!communicator.waitFor(this)) {
        timeOut();
      }
    }
  }

  @Override
  public boolean isDone() {
    communicator.checkThread();
    return progress();
  }

  /** Copies what can be copied now; whether all deliveries are done. */
  private boolean progress() {
    if (firstOpen == deliveries.length) {
      return true;
    }
    LocalGroup group = communicator.group;
    // What comes in first: then each rank writes its own memory, and the peers do the same.
    copyMatched(group, false);
    copyMatched(group, true);
    while (firstOpen < deliveries.length && deliveries[firstOpen].isDone()) {
      firstOpen++;
    }
    if (firstOpen == deliveries.length) {
      Failure broken = broken();
      end(broken == null ? State.COMPLETED : State.FAILED);
      if (broken != null) {
        throw broken.toException();
      }
      return true;
    }
    Failure failure = failure(group);
    if (failure != null) {
      end(State.FAILED);
      throw failure.toException();
    }
    return false;
  }

  private @Nullable Failure broken() {
    for (Delivery delivery : deliveries) {
      if (delivery.broken() != null) {
        return delivery.broken();
      }
    }
    return null;
  }

  private void end(State how) {
    firstOpen = deliveries.length;
    STATE.setRelease(this, how);
    release();
    communicator.me.open.remove(this);
  }

  private void copyMatched(LocalGroup group, boolean sends) {
    for (int i = firstOpen; i < deliveries.length; i++) {
      Message message = messages[i];
      if (message.isSend() == sends && deliveries[i].take()) {
        copy(group, deliveries[i], message.peer());
      }
    }
  }

  private void copy(LocalGroup group, Delivery delivery, int peer) {
    Failure failure = null;
    try {
      delivery.copy(communicator.me);
    } catch (Throwable thrown) {
      String what =
          Channel.describe(delivery, group) + " in " + group.describe() + " failed: " + thrown;
      failure = group.fail(new Failure(Failure.Kind.BROKEN, what, thrown));
    } finally {
      delivery.done(failure);
      group.signal(peer);
    }
  }

  /** The failure that keeps a delivery from coming, or null while all under way will be done. */
  private @Nullable Failure failure(LocalGroup group) {
    if (!mayHaveFailed(group)) {
      return null;
    }
    for (int i = firstOpen; i < deliveries.length; i++) {
      if (!deliveries[i].isHalf() && !deliveries[i].isDone()) {
        return null;
      }
    }
    Failure known = group.failure();
    if (known == null) {
      String ended = endedPeer(group);
      if (ended == null) {
        return null;
      }
      known = group.fail(new Failure(Failure.Kind.BROKEN, ended, null));
    }
    return takeBackOpen() ? known : null;
  }

  /** Takes back what waits for its second end; whether that is all that is open. */
  private boolean takeBackOpen() {
    boolean all = true;
    for (int i = firstOpen; i < deliveries.length; i++) {
      all &= deliveries[i].isDone() || deliveries[i].cancel();
    }
    return all;
  }

  private boolean mayHaveFailed(LocalGroup group) {
    if (group.hasFailed()) {
      return true;
    }
    for (int i = firstOpen; group.run.someRankEnded() && i < deliveries.length; i++) {
      if (group.member(messages[i].peer()).hasEnded() && deliveries[i].isHalf()) {
        return true;
      }
    }
    return false;
  }

  /** Says that a peer has ended without posting its end of a delivery; null if none has. */
  private @Nullable String endedPeer(LocalGroup group) {
    for (int i = firstOpen; i < deliveries.length; i++) {
      int peer = messages[i].peer();
      // In this order: what a rank posted before it ended is seen.
      if (group.member(peer).hasEnded() && deliveries[i].isHalf()) {
        return attendance(group, " cannot complete: a rank that it needs has ended its program");
      }
    }
    return null;
  }

  private void timeOut() {
    LocalGroup group = communicator.group;
    String text = attendance(group, " timed out after " + group.run.timeout);
    boolean missing = false;
    for (int i = firstOpen; i < deliveries.length; i++) {
      // Before the group fails: either a message came in time, or it never comes.
      missing |= deliveries[i].cancel();
    }
    if (missing) {
      group.fail(new Failure(Failure.Kind.TIMEOUT, text, null));
    }
  }

  private String attendance(LocalGroup group, String what) {
    StringJoiner lines = new StringJoiner("; ");
    lines.add("exchange of rank " + communicator.me.globalRank + " in " + group.describe() + what);
    TreeSet<Integer> peers = new TreeSet<>();
    int shown = 0;
    for (int i = firstOpen; i < deliveries.length; i++) {
      if (deliveries[i].isHalf()) {
        peers.add(messages[i].peer());
        if (shown++ < MessageText.SHOWN) {
          lines.add(Channel.describeHalf(deliveries[i], group));
        }
      }
    }
    if (shown > MessageText.SHOWN) {
      lines.add("and " + (shown - MessageText.SHOWN) + " more");
    }
    for (int peer : peers) {
      lines.add(group.member(peer).whereabouts());
    }
    return lines.toString();
  }

  @Override
  public boolean isReady() {
    boolean allDone = true;
    boolean allHalfOrDone = true;
    for (int i = firstOpen; i < deliveries.length; i++) {
      Delivery delivery = deliveries[i];
      if (delivery.isMatched()) {
        return true;
      }
      boolean done = delivery.isDone();
      allDone &= done;
      allHalfOrDone &= done || delivery.isHalf();
    }
    return allDone || (allHalfOrDone && mayHaveFailed(communicator.group));
  }

  // ---- in words

  @Override
  public State state() {
    return (State) STATE.getAcquire(this);
  }

  @Override
  public String where() {
    return communicator.group.describe() + ", exchange " + sequence;
  }

  @Override
  public String describe() {
    return MessageText.of(List.of(messages));
  }
}
