package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.support.CollectiveArguments;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.GroupIdentity;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A collective under way. In its first round every member sends one parcel to every other one,
 * empty where it has nothing for it: so each hears of each, notices calls that differ from its own,
 * and is not done before all have come. What the parcels hold, and whether a second round follows,
 * is the {@link CollectivePlan}'s.
 */
final class MpiCollective extends MpiCall {
  private final CollectiveArguments arguments;
  private final long sequence;
  private final long signature;
  private final CollectivePlan plan;
  private final int size;
  private final boolean[] came;
  private final List<Arrival> early = new ArrayList<>(0);
  private int stage = 1;
  private int missing;
  private boolean done;

  MpiCollective(MpiCommunicator communicator, CollectiveArguments arguments, long sequence) {
    super(communicator);
    this.arguments = arguments;
    this.sequence = sequence;
    this.signature = arguments.signature();
    this.size = communicator.size();
    this.came = new boolean[size];
    this.missing = size - 1;
    this.plan = new CollectivePlan(arguments, communicator.rank(), size, communicator.me);
  }

  long sequence() {
    return sequence;
  }

  /** The result of an all-gather of host values. */
  long[][] gathered() {
    return plan.gathered();
  }

  // ---- rounds

  /** Retains the arrays and sends the first round. */
  void begin() {
    arguments.retain();
    came[communicator.rank()] = true;
    plan.begin();
    for (int i = 1; i < size; i++) {
      // Each begins with another one, so that not all send to the same.
      int to = (communicator.rank() + i) % size;
      send(to, plan.outgoing(1, to));
    }
    step();
  }

  private void send(int to, @Nullable Piece piece) {
    boolean underWay =
        communicator.me.transport.send(
            communicator.globalRank(to), communicator.key, stage, sequence, signature, piece, this);
    if (underWay) {
      messageStarted();
    }
  }

  /** Takes a parcel for this call. */
  void arrive(Arrival arrival) {
    Header header = arrival.header();
    if (header.stage() > stage) {
      early.add(arrival);
      return;
    }
    int from = communicator.globalRanks().indexOf(header.from());
    String mismatch = stage == 1 ? mismatch(from, header) : null;
    if (mismatch != null) {
      communicator.me.transport.discard(arrival);
      declareMismatch(mismatch);
      return;
    }
    missing--;
    came[from] = true;
    Piece piece = plan.incoming(stage, from, header.elements());
    if (piece == null) {
      communicator.me.transport.discard(arrival);
    } else if (communicator.me.transport.accept(arrival, piece, this)) {
      messageStarted();
    }
    step();
  }

  @Override
  void step() {
    while (!done && missing == 0 && messages() == 0) {
      int me = communicator.rank();
      if (stage == 1 && differs(me, CollectiveArguments.sentElements(arguments, me, me))) {
        declareMismatch(sizes(me, CollectiveArguments.sentElements(arguments, me, me)));
        return;
      }
      plan.endOf(stage);
      done = stage == plan.rounds();
      if (!done) {
        beginSecondRound();
      }
    }
    if (done && messages() == 0 && state() == State.POSTED) {
      plan.finish();
      communicator.finished(this);
      completed();
    }
  }

  private void beginSecondRound() {
    stage = 2;
    for (int from = 0; from < size; from++) {
      missing += from != communicator.rank() && plan.comesInSecondRound(from) ? 1 : 0;
    }
    for (int i = 1; i < size; i++) {
      int to = (communicator.rank() + i) % size;
      Piece piece = plan.outgoing(2, to);
      if (piece != null && piece.count() > 0) {
        send(to, piece);
      }
    }
    List<Arrival> arrivals = List.copyOf(early);
    early.clear();
    arrivals.forEach(this::arrive);
  }

  // ---- calls that do not fit

  private @Nullable String mismatch(int from, Header header) {
    if (header.signature() != signature) {
      int first = Math.min(from, communicator.rank());
      int second = Math.max(from, communicator.rank());
      return CollectiveArguments.differentCalls(
          communicator.who(first, sequence), communicator.who(second, sequence));
    }
    return differs(from, header.elements()) ? sizes(from, header.elements()) : null;
  }

  private boolean differs(int from, long elements) {
    return arguments.hasParts()
        && elements != CollectiveArguments.wantedElements(arguments, from, communicator.rank());
  }

  private String sizes(int from, long elements) {
    int me = communicator.rank();
    return CollectiveArguments.differentSizes(
        communicator.who(from, sequence),
        elements,
        communicator.globalRank(me),
        CollectiveArguments.wantedElements(arguments, from, me),
        communicator.who(me, sequence));
  }

  private void declareMismatch(String text) {
    Failure unused =
        communicator.declare(
            Failure.Kind.MISMATCH,
            communicator.identity().describe() + ", operation " + sequence + text);
  }

  // ---- the end

  @Override
  boolean lacksEndedRank() {
    MpiRun run = communicator.me.run;
    for (int i = 0; run.someRankEnded() && i < size; i++) {
      if (!came[i] && run.sendsNoMore(communicator.globalRank(i))) {
        return true;
      }
    }
    return false;
  }

  @Override
  @Nullable String attendance(String what, boolean isFinal) {
    GroupIdentity identity = communicator.identity();
    List<Integer> absent = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      if (!came[i]) {
        absent.add(identity.globalRank(i));
      }
    }
    Map<Integer, ControlMessage.Answer> answers =
        communicator.me.run.ask(absent, communicator.key, sequence);
    StringBuilder present = new StringBuilder();
    StringBuilder missingRanks = new StringBuilder();
    for (int i = 0; i < size; i++) {
      int rank = identity.globalRank(i);
      ControlMessage.Answer answer = answers.get(rank);
      if (answer == null || !answer.call().isEmpty()) {
        present.append(present.isEmpty() ? "rank " : ", rank ").append(rank);
      } else {
        missingRanks.append(missingRanks.isEmpty() ? "" : ", ").append(answer.whereabouts());
      }
    }
    if (missingRanks.isEmpty() && !isFinal) {
      return null;
    }
    return describe()
        + " in "
        + where()
        + what
        + "; came: "
        + present
        + "; did not come: "
        + (missingRanks.isEmpty() ? "none, but a transfer does not end" : missingRanks);
  }

  @Override
  void forget() {
    communicator.finished(this);
    early.forEach(communicator.me.transport::discard);
    early.clear();
  }

  @Override
  void release() {
    arguments.release();
    plan.release();
  }

  @Override
  public String describe() {
    return arguments.describe();
  }

  @Override
  public String where() {
    return communicator.identity().describe() + ", operation " + sequence;
  }
}
