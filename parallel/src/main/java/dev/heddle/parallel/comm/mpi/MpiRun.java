package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationMismatchException;
import dev.heddle.parallel.comm.CommunicationTimeoutException;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.mpi.ControlMessage.Answer;
import dev.heddle.parallel.comm.mpi.ControlMessage.Ended;
import dev.heddle.parallel.comm.mpi.ControlMessage.Finished;
import dev.heddle.parallel.comm.mpi.ControlMessage.GroupFailed;
import dev.heddle.parallel.comm.mpi.ControlMessage.Lost;
import dev.heddle.parallel.comm.mpi.ControlMessage.Question;
import dev.heddle.parallel.comm.mpi.ControlMessage.Threw;
import dev.heddle.parallel.comm.support.Failure;
import dev.heddle.parallel.comm.support.TimeLimit;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * What this process knows of a run: who has ended, who has failed, which groups have failed. Told
 * by the control link's thread, read by the rank's.
 */
final class MpiRun {
  private static final long ANSWER_MILLIS = 2_000;
  private static final long INTERRUPT_AFTER_MILLIS = 1_000;

  /** A run's number in this process's life, the same in all processes. */
  final int number;

  final TimeLimit timeout;

  private final int rank;
  private final int size;
  private final ControlLink link;

  private volatile @Nullable MpiRank me;
  private volatile @Nullable Failure failure;
  private final Map<Long, Failure> groupFailures = new ConcurrentHashMap<>();
  private volatile int endedCount;
  private @Nullable Throwable ownFailure; // the rank's thread only
  private final @Nullable Ended[] ended;

  // Guarded by this.
  private final List<Threw> thrown = new ArrayList<>();
  private final Set<Integer> lost = new HashSet<>();
  private final Set<Integer> silent = new HashSet<>();
  private final Map<Integer, Finished> finished = new HashMap<>();
  private final Map<Integer, Answer> answers = new HashMap<>();
  private int question;

  MpiRun(int number, int rank, int size, ControlLink link, Duration timeout) {
    this.number = number;
    this.rank = rank;
    this.size = size;
    this.link = link;
    this.timeout = TimeLimit.of(timeout);
    this.ended = new Ended[size];
  }

  void begin(MpiRank newMe) {
    me = newMe;
  }

  int size() {
    return size;
  }

  synchronized boolean isLost(int globalRank) {
    return lost.contains(globalRank);
  }

  // ---- on the link's thread

  void told(ControlMessage message) {
    switch (message) {
      case Threw threw -> {
        synchronized (this) {
          thrown.add(threw);
          if (failure == null && !threw.consequence()) {
            stop(threw.rank(), rebuilt(threw));
          }
          notifyAll();
        }
      }
      case Lost gone -> {
        synchronized (this) {
          // Who has finished may leave; the process's end is no news then.
          if (gone.rank() < size && !finished.containsKey(gone.rank()) && lost.add(gone.rank())) {
            thrown.add(new Threw(number, gone.rank(), "BROKEN", lostText(gone.rank()), "", false));
            if (failure == null) {
              stop(gone.rank(), lostException(gone.rank()));
            }
          }
          notifyAll();
        }
      }
      case Ended end -> {
        synchronized (this) {
          ended[end.rank()] = end;
          endedCount++;
          notifyAll();
        }
      }
      case Finished end -> {
        synchronized (this) {
          finished.put(end.rank(), end);
          notifyAll();
        }
      }
      case GroupFailed failed -> {
        synchronized (this) {
          groupFailures.putIfAbsent(
              failed.group(), new Failure(failed.kind(), failed.text(), null));
          notifyAll();
        }
      }
      case Answer answer -> {
        synchronized (this) {
          if (answer.question() == question) {
            answers.put(answer.rank(), answer);
          }
          notifyAll();
        }
      }
      case Question asked -> answer(asked);
    }
  }

  private void stop(int failedRank, Throwable cause) {
    failure =
        new Failure(
            Failure.Kind.STOPPED,
            "stopped because rank " + failedRank + " failed: " + cause,
            cause);
    ControlHub.daemon("stop", this::interruptIfComputing);
  }

  /** A rank that sleeps or computes on is interrupted; one that communicates stops by itself. */
  private void interruptIfComputing() {
    synchronized (this) {
      long deadline = System.nanoTime() + INTERRUPT_AFTER_MILLIS * 1_000_000;
      while (ended[rank] == null && System.nanoTime() < deadline) {
        try {
          wait(50);
        } catch (InterruptedException ignored) {
          return;
        }
      }
      MpiRank running = me;
      if (ended[rank] == null && running != null) {
        running.interrupt();
      }
    }
  }

  private void answer(Question asked) {
    MpiRank running = me;
    MpiCommunicator group = running == null ? null : running.find(asked.group());
    String call = group == null ? "" : group.callOf(asked.number());
    String whereabouts =
        running == null ? "rank " + rank + " (has not begun)" : running.whereabouts();
    link.send(asked.rank(), new Answer(number, rank, asked.question(), call, whereabouts));
  }

  // ---- failure

  boolean hasFailed() {
    return failure != null;
  }

  /** Why a group can communicate no more; null while it can. */
  @Nullable Failure failureOf(long group) {
    Failure known = groupFailures.isEmpty() ? null : groupFailures.get(group);
    return known == null ? failure : known;
  }

  /** Tells all that a group has failed; the first failure of the group, or the run's. */
  Failure declare(long group, Failure.Kind kind, String text) {
    Failure known = failureOf(group);
    if (known != null) {
      return known;
    }
    link.send(ControlHub.ALL, new GroupFailed(number, rank, group, kind, text));
    long deadline = System.nanoTime() + ANSWER_MILLIS * 1_000_000;
    synchronized (this) {
      while (groupFailures.get(group) == null && System.nanoTime() < deadline) {
        pause();
      }
      return groupFailures.computeIfAbsent(group, key -> new Failure(kind, text, null));
    }
  }

  /** Lets the link's thread tell news; an interrupt is kept for who waits next. */
  private void pause() {
    try {
      wait(20);
    } catch (InterruptedException kept) {
      Thread.currentThread().interrupt();
    }
  }

  boolean someRankEnded() {
    return endedCount > 0;
  }

  /** Whether a rank has ended and all that it has sent to this one has come. */
  boolean sendsNoMore(int globalRank) {
    Ended end;
    synchronized (this) {
      end = ended[globalRank];
    }
    MpiRank running = me;
    return end != null
        && running != null
        && running.transport.headersReceived(globalRank) == end.parcels()[rank];
  }

  // ---- questions

  /**
   * Asks ranks for a call and for their whereabouts.
   *
   * @param number a collective of the group, or -1
   * @return an answer for each rank, made up for those that give none
   */
  Map<Integer, Answer> ask(List<Integer> ranks, long group, long number) {
    Map<Integer, Answer> result = new HashMap<>();
    synchronized (this) {
      question++;
      answers.clear();
    }
    for (int asked : ranks) {
      link.send(asked, new Question(this.number, rank, question, group, number));
    }
    long deadline = System.nanoTime() + ANSWER_MILLIS * 1_000_000;
    synchronized (this) {
      while (!answers.keySet().containsAll(ranks) && System.nanoTime() < deadline) {
        pause();
      }
      for (int asked : ranks) {
        Answer answer = answers.get(asked);
        Ended end = ended[asked];
        if (answer == null && end != null) {
          answer = new Answer(this.number, asked, question, "", end.whereabouts());
        } else if (answer == null) {
          silent.add(asked);
          answer =
              new Answer(
                  this.number,
                  asked,
                  question,
                  "",
                  "rank "
                      + asked
                      + " (does not answer: its process is stopped, or its host cannot be"
                      + " reached)");
        }
        result.put(asked, answer);
      }
    }
    return result;
  }

  // ---- the end

  /** Tells all that this rank has failed, once. */
  private void tell(Throwable threw) {
    if (ownFailure == null) {
      ownFailure = threw;
      StringWriter trace = new StringWriter();
      threw.printStackTrace(new PrintWriter(trace));
      boolean consequence = Failure.isConsequence(threw);
      link.send(
          ControlHub.ALL,
          new Threw(number, rank, kindOf(threw), textOf(threw), trace.toString(), consequence));
    }
  }

  /**
   * Tells all that this rank has failed; why the run is stopped, which may be another's failure.
   */
  Failure abort(Throwable threw) {
    tell(threw);
    long deadline = System.nanoTime() + ANSWER_MILLIS * 1_000_000;
    boolean interrupted = false;
    synchronized (this) {
      while (failure == null && System.nanoTime() < deadline) {
        interrupted |= Thread.interrupted();
        pause();
      }
      if (failure == null) {
        stop(rank, threw);
      }
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
      return Objects.requireNonNull(failure);
    }
  }

  /** Tells all that this rank's program has ended, and how. */
  void end(@Nullable Throwable threw, MpiRank running) {
    running.end();
    if (threw != null) {
      tell(threw);
    }
    link.send(
        ControlHub.ALL,
        new Ended(number, rank, running.transport.headersSent(), running.whereabouts()));
  }

  /** Tells all that this rank has everything that was sent to it. */
  void finish(String left) {
    link.send(ControlHub.ALL, new Finished(number, rank, left));
  }

  /** The ranks that have not ended and may still do; without those that are known to be gone. */
  synchronized List<Integer> running() {
    List<Integer> running = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      if (ended[i] == null && !lost.contains(i)) {
        running.add(i);
      }
    }
    return running;
  }

  /** Whether some ranks are gone, or gave no answer when they were asked. */
  synchronized boolean lacksRanks() {
    return !lost.isEmpty() || !silent.isEmpty();
  }

  /** Whether {@code ranks} are only such as gave no answer when they were asked. */
  synchronized boolean areSilent(List<Integer> ranks) {
    return silent.containsAll(ranks);
  }

  /** The ranks that have not said that they have everything. */
  synchronized List<Integer> unfinished() {
    List<Integer> open = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      if (!finished.containsKey(i)) {
        open.add(i);
      }
    }
    return open;
  }

  /** The exception that the run ends with; null if it went well. */
  synchronized @Nullable RuntimeException report(List<Integer> abandoned) {
    Throwable ownThrown = ownFailure;
    Threw first = null;
    RankFailedException report = null;
    for (Threw threw : thrown) {
      if (first == null && (!threw.consequence() || failure == null)) {
        first = threw;
        report =
            new RankFailedException(
                threw.rank(),
                threw.rank() == rank && ownThrown != null ? ownThrown : rebuilt(threw));
      }
    }
    if (report == null) {
      return leftOver();
    }
    for (Threw threw : thrown) {
      if (threw != first && !threw.consequence()) {
        report.addSuppressed(
            threw.rank() == rank && ownThrown != null ? ownThrown : rebuilt(threw));
      }
    }
    for (int other : abandoned) {
      report.addSuppressed(
          new CommunicationException("rank " + other + " did not stop and is left behind", null));
    }
    return report;
  }

  private @Nullable RuntimeException leftOver() {
    for (int i = 0; i < size; i++) {
      Finished end = finished.get(i);
      if (end != null && !end.left().isEmpty()) {
        return new CommunicationException(
            "all ranks ended, but " + end.left() + "; await every handle and match every send",
            null);
      }
    }
    return null;
  }

  // ---- what was thrown, between processes

  private static String kindOf(Throwable threw) {
    return switch (threw) {
      case CommunicationTimeoutException timedOut -> Failure.Kind.TIMEOUT.name();
      case CommunicationMismatchException mismatch -> Failure.Kind.MISMATCH.name();
      case CommunicationException broken -> Failure.Kind.BROKEN.name();
      default -> "";
    };
  }

  private static String textOf(Throwable threw) {
    return threw instanceof CommunicationException
        ? String.valueOf(threw.getMessage())
        : threw.toString();
  }

  private static Throwable rebuilt(Threw threw) {
    return threw.kind().isEmpty()
        ? new RemoteFailure(threw.text(), threw.trace())
        : new Failure(Failure.Kind.valueOf(threw.kind()), threw.text(), null).toException();
  }

  private static String lostText(int lostRank) {
    return "the process of rank "
        + lostRank
        + " has gone without a word: it was killed, or the machine ended it for want of memory";
  }

  private static CommunicationException lostException(int lostRank) {
    return new CommunicationException(lostText(lostRank), null);
  }
}
