package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.comm.support.OpenCalls;
import dev.heddle.parallel.comm.support.PostedCall;
import dev.heddle.parallel.comm.support.Reducer;
import dev.heddle.parallel.comm.support.RunCursor;
import dev.heddle.parallel.comm.support.Whereabouts;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * One rank's thread: how it waits and is woken, what it last did, and the scratch memory with which
 * it works for a collective.
 */
final class LocalRank {
  /** Something that another thread makes true. */
  interface Condition {
    /** Whether waiting is over; called often, by the waiting thread. */
    boolean isReady();
  }

  // Checks in a row before a yield, of some 20 ns each: where the rank has its core to itself,
  // shares it with ranks that wait as it does, or with a thread that computes.
  private static final int SPINS_ALONE = 1_000;
  private static final int SPINS_AMONG_RANKS = 10;
  private static final int SPINS_BESIDE_WORK = 4_000;

  // A yield that takes much longer has let another thread run than a rank of this group.
  private static final long WORK_NANOS = 200_000;

  // What a yield takes that lets nobody run, 0.3 to 1.5 us by machine: the shortest so far. Where
  // ranks race to write it the longer time may stay for a while, which the next yields mend.
  private static volatile long emptyYieldNanos = Long.MAX_VALUE;
  private static final int FIRST_YIELDS = 20;

  static {
    for (int i = 0; i < FIRST_YIELDS; i++) {
      timedYield();
    }
  }

  // How long a rank that has a core goes on checking before it parks.
  private static final long AWAKE_NANOS = 100_000;
  private static final int YIELDS_WITHOUT_CORE = 4;

  // In the middle of an array of twice that length a word has its cache line to itself.
  private static final int LINE_INTS = 32;

  private static final long LONGEST_PARK_NANOS = 1_000_000_000L;

  // Long enough for whatever another core has stored to be seen.
  private static final long FIRST_PARK_NANOS = 100_000;

  final LocalRun run;
  final int globalRank;
  final RunCursor[] sources;
  final RunCursor[] destinations;
  final Reducer reducer = new Reducer();
  final CommunicationStatistics totals = new CommunicationStatistics();

  /** This rank's communicators; used by its own thread only. */
  final Map<LocalGroup, LocalCommunicator> communicators = new HashMap<>();

  /** What this rank has under way. */
  final OpenCalls<PostedCall> open = new OpenCalls<>();

  private final boolean coreEach;
  private int spins;
  private volatile @Nullable Thread thread;

  // Whether the rank sleeps, at the middle of an array so that nothing else is on its cache line:
  // others look at it whenever they have done something, and beside what this rank writes at every
  // call each look would fetch the line and each write would wait for it to come back.
  private final AtomicIntegerArray parked = new AtomicIntegerArray(2 * LINE_INTS);

  private volatile boolean ended;

  // Read for messages only, so that no post has to wait until what was stored before it is visible.
  // It too is written at every call and has its line to itself.
  private final AtomicReferenceArray<@Nullable PostedCall> lastCall =
      new AtomicReferenceArray<>(2 * LINE_INTS);

  LocalRank(LocalRun run, int globalRank, int rankCount) {
    this.run = run;
    this.globalRank = globalRank;
    this.sources = cursors(rankCount);
    this.destinations = cursors(rankCount);
    this.coreEach = rankCount <= Runtime.getRuntime().availableProcessors();
    this.spins = coreEach ? SPINS_ALONE : SPINS_AMONG_RANKS;
  }

  private static RunCursor[] cursors(int count) {
    RunCursor[] cursors = new RunCursor[count];
    for (int i = 0; i < count; i++) {
      cursors[i] = new RunCursor();
    }
    return cursors;
  }

  // ---- life

  void begin() {
    thread = Thread.currentThread();
  }

  void end() {
    ended = true;
  }

  boolean hasEnded() {
    return ended;
  }

  /** Stops the run because this rank has failed, and sees through what it has under way. */
  void abort(Throwable cause) {
    checkThread();
    run.stop(globalRank, cause);
    boolean interrupted = false;
    // With the run stopped, waiting ends as soon as no rank copies from or to the arrays.
    for (PostedCall call = open.last(); call != null; call = open.last()) {
      interrupted |= Thread.interrupted();
      try {
        call.await();
      } catch (CommunicationException stopped) {
        // The cause says more.
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  void checkThread() {
    Whereabouts.checkThread(globalRank, thread);
  }

  // ---- waiting

  /**
   * Waits until the condition is ready.
   *
   * @return whether it is; false when the time was up
   */
  boolean waitFor(Condition condition, long timeoutNanos) {
    if (isSoonReady(condition)) {
      return true;
    }
    long deadline = System.nanoTime() + timeoutNanos;
    long longest = FIRST_PARK_NANOS;
    try {
      while (true) {
        parked.set(LINE_INTS, 1);
        // A signal after this write sees it and unparks; one before it is seen by isReady, if not
        // at once then after the first sleep: who signals has looked here without a fence, perhaps
        // before its own store could be seen.
        if (condition.isReady()) {
          return true;
        }
        long left = deadline - System.nanoTime();
        if (left <= 0) {
          return false;
        }
        LockSupport.parkNanos(this, Math.min(left, longest));
        longest = LONGEST_PARK_NANOS;
        if (Thread.interrupted()) {
          throw new CommunicationException(
              "rank " + globalRank + " was interrupted while it waited for other ranks", null);
        }
      }
    } finally {
      parked.set(LINE_INTS, 0);
    }
  }

  /**
   * Checks for some time without parking. Spinning pays while the rank has a core to itself; else
   * it keeps from running who is waited for. A system may leave two busy threads on one core though
   * another is idle, for long, so that is found out again and again, by how long a yield takes.
   */
  private boolean isSoonReady(Condition condition) {
    if (spin(condition)) {
      return true;
    }
    long start = System.nanoTime();
    long now = start;
    for (int i = 0; coreEach ? now - start < AWAKE_NANOS : i < YIELDS_WITHOUT_CORE; i++) {
      long took = timedYield();
      now = System.nanoTime();
      if (coreEach) {
        spins = spinsAfter(took);
      }
      if (spin(condition)) {
        return true;
      }
    }
    return false;
  }

  /** Yields; how long that took. */
  private static long timedYield() {
    long before = System.nanoTime();
    Thread.yield();
    long took = System.nanoTime() - before;
    if (took < emptyYieldNanos) {
      emptyYieldNanos = took;
    }
    return took;
  }

  /** How often to check before the next yield, after one that took so long. */
  private static int spinsAfter(long yieldNanos) {
    // One that let a rank run ended with that rank's own yield, and so took two and more.
    if (yieldNanos <= emptyYieldNanos + emptyYieldNanos / 2) {
      return SPINS_ALONE;
    }
    // A yield gives a thread that computes milliseconds.
    return yieldNanos <= WORK_NANOS ? SPINS_AMONG_RANKS : SPINS_BESIDE_WORK;
  }

  private boolean spin(Condition condition) {
    for (int i = 0; i < spins; i++) {
      if (condition.isReady()) {
        return true;
      }
      Thread.onSpinWait();
    }
    return false;
  }

  /** Wakes the rank if it waits; called after what it waits for was made true. */
  void signal() {
    if (parked.get(LINE_INTS) != 0) {
      LockSupport.unpark(thread);
    }
  }

  // ---- what it did, for messages

  void posted(PostedCall call) {
    lastCall.setRelease(LINE_INTS, call);
  }

  /** Where this rank is, for the message of one that waits for it. */
  String whereabouts() {
    return Whereabouts.of(globalRank, lastCall.get(LINE_INTS), ended, thread);
  }
}
