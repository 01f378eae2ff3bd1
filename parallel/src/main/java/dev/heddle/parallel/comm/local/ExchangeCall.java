package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Transfer;
import java.util.List;
import java.util.StringJoiner;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** One rank's call of an exchange: its messages, and its handle. */
final class ExchangeCall implements PostedCall, LocalRank.Condition {
  private static final int SHOWN = 8;

  private final LocalCommunicator communicator;
  private final List<Transfer> transfers;
  private final Message[] messages;
  private final long sequence;
  private int firstOpen;

  /** Retains the arrays and posts all transfers at once. */
  ExchangeCall(LocalCommunicator communicator, List<Transfer> transfers, long sequence) {
    this.communicator = communicator;
    this.transfers = List.copyOf(transfers);
    this.messages = new Message[transfers.size()];
    this.sequence = sequence;
    post();
  }

  private void post() {
    LocalGroup group = communicator.group;
    Failure refused = null;
    int posted = 0;
    synchronized (group) {
      group.refuseIfFailed();
      while (posted < messages.length && refused == null) {
        refused = postOne(group, posted++);
      }
    }
    for (int i = 0; i < posted; i++) {
      Message message = messages[i];
      if (message != null && !message.isHalf()) {
        group.signal(transfers.get(i).peer());
      }
    }
    if (refused != null) {
      Failure failure = group.fail(refused);
      finishMatched(group, posted - 1);
      throw failure.toException();
    }
    retain();
  }

  /** Posts one transfer, the lock being held; what is wrong with it, or null. */
  private @Nullable Failure postOne(LocalGroup group, int index) {
    Transfer transfer = transfers.get(index);
    int me = communicator.rank();
    int from = transfer.isSend() ? me : transfer.peer();
    int to = transfer.isSend() ? transfer.peer() : me;
    Message message = group.channel(from, to).post(transfer);
    messages[index] = message;
    boolean completes = message.hasEnd();
    if (completes) {
      String mismatch = mismatch(group, message, transfer);
      if (mismatch != null) {
        return new Failure(Failure.Kind.MISMATCH, mismatch, null);
      }
    }
    message.end(transfer);
    if (completes) {
      message.match();
    }
    return null;
  }

  /** Sees those messages through that a peer may be copying, so that the arrays may be freed. */
  private void finishMatched(LocalGroup group, int count) {
    for (int i = 0; i < count; i++) {
      Message message = messages[i];
      if (message.take()) {
        copy(group, message, transfers.get(i).peer());
      }
      while (!message.isHalf() && !message.isDone()) {
        Thread.yield();
      }
    }
  }

  private static @Nullable String mismatch(LocalGroup group, Message message, Transfer transfer) {
    Transfer other = message.anyEnd();
    if (other.dtype() == transfer.dtype() && other.elementCount() == transfer.elementCount()) {
      return null;
    }
    Transfer sent = transfer.isSend() ? transfer : other;
    Transfer received = transfer.isSend() ? other : transfer;
    return "exchange in " + group.describe() + ": message " + message.number + " from rank "
        + group.globalRanks.get(message.from) + " to rank " + group.globalRanks.get(message.to)
        + " does not fit: sent " + sent.dtype() + " x " + sent.elementCount() + " (of "
        + sent.array() + "), received as " + received.dtype() + " x " + received.elementCount()
        + " (of " + received.array() + ")";
  }

  private void retain() {
    for (int i = 0; i < transfers.size(); i++) {
      transfers.get(i).array().retain();
    }
  }

  private void release() {
    for (int i = 0; i < transfers.size(); i++) {
      transfers.get(i).array().release();
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

  /** Copies what can be copied now; whether all messages are done. */
  private boolean progress() {
    if (firstOpen == messages.length) {
      return true;
    }
    LocalGroup group = communicator.group;
    for (int i = firstOpen; i < messages.length; i++) {
      Message message = messages[i];
      if (message.take()) {
        copy(group, message, transfers.get(i).peer());
      }
      if (i == firstOpen && message.isDone()) {
        firstOpen++;
      }
    }
    if (firstOpen == messages.length) {
      release();
      return true;
    }
    Failure failure = failure(group);
    if (failure != null) {
      firstOpen = messages.length;
      release();
      throw failure.toException();
    }
    return false;
  }

  private void copy(LocalGroup group, Message message, int peer) {
    try {
      message.copy(communicator.me);
    } catch (Throwable thrown) {
      group.fail(
          new Failure(
              Failure.Kind.BROKEN, "exchange in " + group.describe() + " failed: " + thrown, thrown));
    } finally {
      message.done();
      group.signal(peer);
    }
  }

  /** The failure that keeps a message from coming, or null while all under way will be done. */
  private @Nullable Failure failure(LocalGroup group) {
    if (!mayHaveFailed(group)) {
      return null;
    }
    synchronized (group) {
      for (int i = firstOpen; i < messages.length; i++) {
        if (!messages[i].isHalf() && !messages[i].isDone()) {
          return null;
        }
      }
      Failure known = group.knownFailure();
      String ended = known == null ? endedPeer(group) : null;
      return ended == null ? known : group.fail(new Failure(Failure.Kind.BROKEN, ended, null));
    }
  }

  private boolean mayHaveFailed(LocalGroup group) {
    if (group.hasFailed()) {
      return true;
    }
    for (int i = firstOpen; group.run.someRankEnded() && i < messages.length; i++) {
      if (group.member(transfers.get(i).peer()).hasEnded() && messages[i].isHalf()) {
        return true;
      }
    }
    return false;
  }

  /** Says that a peer has ended without posting its end of a message; null if none has. */
  private @Nullable String endedPeer(LocalGroup group) {
    for (int i = firstOpen; i < messages.length; i++) {
      int peer = transfers.get(i).peer();
      if (messages[i].isHalf() && group.member(peer).hasEnded()) {
        return attendance(group, " cannot complete: a rank that it needs has ended its program");
      }
    }
    return null;
  }

  private void timeOut() {
    LocalGroup group = communicator.group;
    String text;
    synchronized (group) {
      boolean missing = false;
      for (int i = firstOpen; i < messages.length; i++) {
        missing |= messages[i].isHalf();
      }
      if (!missing) {
        return;
      }
      text = attendance(group, " timed out after " + group.run.timeout());
    }
    group.fail(new Failure(Failure.Kind.TIMEOUT, text, null));
  }

  private String attendance(LocalGroup group, String what) {
    StringJoiner lines = new StringJoiner("; ");
    lines.add("exchange of rank " + communicator.me.globalRank + " in " + group.describe() + what);
    TreeSet<Integer> peers = new TreeSet<>();
    int shown = 0;
    for (int i = firstOpen; i < messages.length; i++) {
      if (messages[i].isHalf()) {
        peers.add(transfers.get(i).peer());
        if (shown++ < SHOWN) {
          lines.add(Channel.describe(messages[i], group));
        }
      }
    }
    if (shown > SHOWN) {
      lines.add("and " + (shown - SHOWN) + " more");
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
    for (int i = firstOpen; i < messages.length; i++) {
      Message message = messages[i];
      if (message.isMatched()) {
        return true;
      }
      boolean done = message.isDone();
      allDone &= done;
      allHalfOrDone &= done || message.isHalf();
    }
    return allDone || (allHalfOrDone && mayHaveFailed(communicator.group));
  }

  // ---- messages

  @Override
  public boolean isOpen() {
    return firstOpen < messages.length;
  }

  @Override
  public String where() {
    return communicator.group.describe() + ", exchange " + sequence;
  }

  @Override
  public String describe() {
    StringJoiner text = new StringJoiner(", ", "exchange [", "]");
    for (int i = 0; i < Math.min(SHOWN, transfers.size()); i++) {
      text.add(transfers.get(i).toString());
    }
    if (transfers.size() > SHOWN) {
      text.add((transfers.size() - SHOWN) + " more");
    }
    return text.toString();
  }
}
