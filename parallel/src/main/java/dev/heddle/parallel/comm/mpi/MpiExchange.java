package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.MessageText;
import dev.heddle.parallel.comm.support.RunCursor;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** One rank's call of an exchange: its messages, and its handle. */
final class MpiExchange extends MpiCall {
  /** A message that is waited for. */
  final class Receive {
    private final Message message;
    private final long number;
    private boolean arrived;

    Receive(Message message, long number) {
      this.message = message;
      this.number = number;
    }

    /** Takes the message that belongs here. */
    void deliver(Arrival arrival) {
      arrived = true;
      waiting--;
      Header header = arrival.header();
      Transport transport = communicator.me.transport;
      if (header.dtype() != message.dtype() || header.elements() != message.elementCount()) {
        transport.discard(arrival);
        Failure unused = communicator.declare(Failure.Kind.MISMATCH, mismatch(header));
        return;
      }
      if (transport.accept(arrival, Piece.of(message), transfer -> messageDone())) {
        messageStarted();
      }
      step();
    }

    /** Takes what this rank sends to itself. */
    void copyFrom(Message source) {
      arrived = true;
      waiting--;
      if (source.array().device().hasBytes() && message.array().device().hasBytes()) {
        RunCursor from = communicator.me.sources[0];
        RunCursor to = communicator.me.destinations[0];
        from.start(source);
        to.start(message);
        RunCursor.copy(from, to, source.elementCount());
      }
      step();
    }

    private String mismatch(Header header) {
      return "exchange in "
          + communicator.identity().describe()
          + ": "
          + MessageText.of(number, header.from(), communicator.me.globalRank)
          + " does not fit: sent "
          + header.dtype()
          + " x "
          + header.elements()
          + ", received as "
          + message.dtype()
          + " x "
          + message.elementCount()
          + " (of "
          + message.array()
          + ")";
    }
  }

  /** A message of which the peer has not said that it has it. */
  private static final class Send {
    private final Message message;
    private final long number;
    private boolean gone;

    Send(Message message, long number) {
      this.message = message;
      this.number = number;
    }
  }

  private final List<Message> messages;
  private final long sequence;
  private final List<Receive> receives = new ArrayList<>();
  private final List<Send> sends = new ArrayList<>(0);
  private int waiting;
  private boolean posted;

  MpiExchange(MpiCommunicator communicator, List<Message> messages, long sequence) {
    super(communicator);
    this.messages = List.copyOf(messages);
    this.sequence = sequence;
  }

  /** Retains the arrays and posts all messages. */
  void begin() {
    for (Message message : messages) {
      message.array().retain();
    }
    // What comes in first, so that what a rank sends to itself finds where it goes.
    for (Message message : messages) {
      if (!message.isSend()) {
        receive(message);
      }
    }
    for (Message message : messages) {
      if (message.isSend()) {
        send(message);
      }
    }
    posted = true;
    step();
  }

  private void receive(Message message) {
    MpiCommunicator.Channel channel = communicator.channel(message.peer());
    Receive receive = new Receive(message, channel.receives++);
    receives.add(receive);
    waiting++;
    Arrival arrival = channel.arrived.pollFirst();
    if (arrival == null) {
      channel.waiting.addLast(receive);
    } else {
      receive.deliver(arrival);
    }
  }

  private void send(Message message) {
    MpiCommunicator.Channel channel = communicator.channel(message.peer());
    Send send = new Send(message, channel.sends++);
    if (message.peer() == communicator.rank() && copied(message, channel.waiting)) {
      return;
    }
    boolean underWay =
        communicator.me.transport.send(
            communicator.globalRank(message.peer()),
            communicator.key,
            Header.EXCHANGE,
            send.number,
            0,
            Piece.of(message),
            transfer -> {
              send.gone = true;
              messageDone();
            });
    if (underWay) {
      sends.add(send);
      messageStarted();
    }
  }

  /** Copies what this rank sends to itself straight to where it goes, if that is known and fits. */
  private static boolean copied(Message message, ArrayDeque<Receive> waiting) {
    Receive receive = waiting.peekFirst();
    if (receive == null
        || receive.message.dtype() != message.dtype()
        || receive.message.elementCount() != message.elementCount()) {
      return false;
    }
    waiting.removeFirst();
    receive.copyFrom(message);
    return true;
  }

  @Override
  void step() {
    if (posted && waiting == 0 && messages() == 0 && state() == State.POSTED) {
      communicator.finished(this);
      completed();
    }
  }

  // ---- the end

  @Override
  boolean lacksEndedRank() {
    MpiRun run = communicator.me.run;
    if (!run.someRankEnded()) {
      return false;
    }
    for (Receive receive : receives) {
      if (!receive.arrived && run.sendsNoMore(communicator.globalRank(receive.message.peer()))) {
        return true;
      }
    }
    return false;
  }

  @Override
  @Nullable String attendance(String what, boolean isFinal) {
    StringJoiner lines = new StringJoiner("; ");
    int me = communicator.me.globalRank;
    lines.add("exchange of rank " + me + " in " + communicator.identity().describe() + what);
    TreeSet<Integer> peers = new TreeSet<>();
    int open = 0;
    for (Receive receive : receives) {
      int peer = communicator.globalRank(receive.message.peer());
      if (!receive.arrived) {
        peers.add(peer);
        if (open++ < MessageText.SHOWN) {
          lines.add(
              describe(receive.message, receive.number, peer, me)
                  + " is waited for, but rank "
                  + peer
                  + " has not posted the send");
        }
      }
    }
    for (Send send : sends) {
      int peer = communicator.globalRank(send.message.peer());
      if (!send.gone) {
        peers.add(peer);
        if (open++ < MessageText.SHOWN) {
          lines.add(
              describe(send.message, send.number, me, peer)
                  + " was sent, but rank "
                  + peer
                  + " has not taken it");
        }
      }
    }
    if (open == 0 && !isFinal) {
      return null;
    }
    if (open > MessageText.SHOWN) {
      lines.add("and " + (open - MessageText.SHOWN) + " more");
    }
    communicator
        .me
        .run
        .ask(List.copyOf(peers), communicator.key, -1)
        .values()
        .forEach(answer -> lines.add(answer.whereabouts()));
    return lines.toString();
  }

  @Override
  void forget() {
    communicator.finished(this);
    for (Receive receive : receives) {
      if (!receive.arrived) {
        communicator.channel(receive.message.peer()).waiting.remove(receive);
      }
    }
  }

  @Override
  void release() {
    for (Message message : messages) {
      message.array().release();
    }
  }

  // ---- in words

  /** A message that has come, in words. */
  static String describe(Header header, MpiCommunicator group) {
    return text(
        header.number(),
        header.from(),
        group.me.globalRank,
        header.dtype() + " x " + header.elements());
  }

  private static String describe(Message message, long number, int from, int to) {
    return text(number, from, to, message.dtype() + " x " + message.elementCount());
  }

  private static String text(long number, int from, int to, String elements) {
    return MessageText.of(number, from, to) + " (" + elements + ")";
  }

  @Override
  public String where() {
    return communicator.identity().describe() + ", exchange " + sequence;
  }

  @Override
  public String describe() {
    return MessageText.of(messages);
  }
}
