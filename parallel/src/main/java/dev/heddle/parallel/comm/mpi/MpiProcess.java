package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.support.GroupIdentity;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * This process as one of those that {@code mpirun} has started. MPI can be started and ended once
 * in a process's life, by one thread, which is then the only one that may use what is here.
 *
 * <pre>{@code
 * try (MpiProcess process = MpiProcess.start()) {
 *   process.run(Duration.ofMinutes(5), world -> world.barrier());
 * }
 * }</pre>
 */
public final class MpiProcess implements AutoCloseable {
  /** The most bytes of one message. */
  static final long CHUNK_BYTES = 1L << 30;

  private static final long ABANDON_AFTER_NANOS = 10_000_000_000L;
  private static final long DRAIN_NANOS = 5_000_000_000L;
  private static final long PARK_NANOS = 50_000;
  private static final long LAST_WORDS_MILLIS = 3_000;

  private static @Nullable MpiProcess started;

  private final MpiLibrary mpi;
  private final int rank;
  private final int size;
  private final int ranksOnThisHost;
  private final int firstRankOnThisHost;
  private final @Nullable ControlHub hub;
  private final ControlLink link;
  private final Object lock = new Object();
  private final List<ControlMessage> early = new ArrayList<>();
  private final Set<Integer> lost = new HashSet<>();
  private @Nullable MpiRun current;
  private int runs;
  private boolean broken;
  private volatile @Nullable CountDownLatch reporting;

  /**
   * Starts MPI and connects to the other processes.
   *
   * @throws IllegalStateException if Open MPI is not there, or was started before
   */
  public static synchronized MpiProcess start() {
    if (started != null) {
      throw new IllegalStateException("MPI was started before in this process; it can be once");
    }
    MpiProcess process = new MpiProcess(MpiLibrary.initialise());
    started = process;
    return process;
  }

  /** The process if MPI is started and not yet ended, else null. */
  static synchronized @Nullable MpiProcess current() {
    return started;
  }

  private MpiProcess(MpiLibrary mpi) {
    this.mpi = mpi;
    MemorySegment world = mpi.world();
    rank = mpi.rank(world);
    size = mpi.size(world);
    MemorySegment host = mpi.sameHost(world);
    ranksOnThisHost = mpi.size(host);
    firstRankOnThisHost = Integer.parseInt(mpi.broadcast(String.valueOf(rank), host));
    mpi.free(host);
    try {
      // Rank 0 is the first on its host, so its host's size decides for all.
      boolean oneHost = ranksOnThisHost == size;
      hub = rank == 0 ? new ControlHub(size, oneHost) : null;
      String address = mpi.broadcast(hub == null ? "" : hub.address(oneHost), world);
      link = new ControlLink(address, rank, this::told);
    } catch (IOException failed) {
      throw new UncheckedIOException(
          "rank "
              + rank
              + " could not open the connections on which processes tell each other"
              + " of failures: "
              + failed.getMessage(),
          failed);
    }
    Runtime.getRuntime().addShutdownHook(new Thread(this::allowLastWords, "last-words"));
  }

  // ---- the job

  /** This process's number. */
  public int rank() {
    return rank;
  }

  /** How many processes there are. */
  public int size() {
    return size;
  }

  /** How many of them run on this host. */
  public int ranksOnThisHost() {
    return ranksOnThisHost;
  }

  /** The lowest number of those on this host: processes of the same host have the same. */
  public int firstRankOnThisHost() {
    return firstRankOnThisHost;
  }

  /** Whether no process with a lower number is left, so that this one speaks for all. */
  public boolean isFirstAlive() {
    synchronized (lock) {
      return IntStream.range(0, rank).allMatch(lost::contains);
    }
  }

  // ---- control

  private void told(ControlMessage message) {
    MpiRun run;
    synchronized (lock) {
      if (message instanceof ControlMessage.Lost gone) {
        lost.add(gone.rank());
      }
      run = current;
      if (message.run() > runs || (message.run() == runs && run == null)) {
        // Others are ahead of this process.
        early.add(message);
        return;
      }
    }
    if (run != null && (message.run() == run.number || message instanceof ControlMessage.Lost)) {
      run.told(message);
    }
  }

  // ---- running

  /**
   * Runs this process's rank of {@code program} and returns when the ranks of all processes have
   * ended. All processes call it.
   *
   * @param timeout how long an operation may wait for other ranks before it fails
   * @throws dev.heddle.parallel.comm.RankFailedException in every process when a rank threw, naming
   *     the first; its cause is what that rank threw, or a {@link RemoteFailure} that says it
   * @throws CommunicationException when all ranks ended, but left operations that never completed
   */
  public void run(Duration timeout, RankProgram program) {
    run(size, "world", timeout, CHUNK_BYTES, program);
  }

  /**
   * Runs a program on the first {@code ranks} processes.
   *
   * @return whether this process is one of them
   */
  boolean run(int ranks, String name, Duration timeout, long chunkBytes, RankProgram program) {
    if (broken) {
      throw new IllegalStateException(
          "rank " + rank + " has left ranks behind in an earlier run; end the process");
    }
    boolean takesPart = rank < ranks;
    MemorySegment communicator = mpi.split(mpi.world(), takesPart ? 0 : 1, rank);
    if (!takesPart) {
      mpi.free(communicator);
      synchronized (lock) {
        runs++;
        early.removeIf(message -> message.run() <= runs);
      }
      return false;
    }
    MpiRun run = new MpiRun(runs + 1, rank, ranks, link, timeout);
    boolean coreEach = ranksOnThisHost <= Runtime.getRuntime().availableProcessors();
    MpiRank me =
        new MpiRank(
            run,
            rank,
            ranks,
            coreEach,
            router -> new Transport(mpi, communicator, chunkBytes, router));
    run.begin(me);
    begin(run);
    CountDownLatch ending = new CountDownLatch(1);
    reporting = ending;
    Throwable threw = null;
    try {
      List<Integer> all = IntStream.range(0, ranks).boxed().toList();
      program.run(me.communicator(new GroupIdentity(name, all)));
    } catch (Throwable thrown) {
      threw = thrown;
    }
    boolean interrupted = Thread.interrupted();
    RuntimeException report = end(run, me, threw);
    synchronized (lock) {
      current = null;
    }
    if (interrupted && report == null) {
      Thread.currentThread().interrupt();
    }
    if (report != null) {
      throw report;
    }
    ending.countDown();
    return true;
  }

  private void begin(MpiRun run) {
    List<ControlMessage> missed = new ArrayList<>();
    synchronized (lock) {
      runs = run.number;
      current = run;
      for (ControlMessage message : early) {
        if (message.run() == run.number) {
          missed.add(message);
        }
      }
      early.removeAll(missed);
      lost.forEach(gone -> missed.add(new ControlMessage.Lost(gone)));
    }
    missed.forEach(run::told);
  }

  /** Waits for all ranks, takes what was sent to this one, and says how the run ended. */
  private @Nullable RuntimeException end(MpiRun run, MpiRank me, @Nullable Throwable threw) {
    run.end(threw, me);
    List<Integer> abandoned = List.of();
    long failedAt = 0;
    List<Integer> running = run.running();
    while (!running.isEmpty() && abandoned.isEmpty()) {
      progress(run, me);
      running = run.running();
      if (run.hasFailed() || threw != null) {
        failedAt = failedAt == 0 ? System.nanoTime() : failedAt;
        long since = System.nanoTime() - failedAt;
        if (since > ABANDON_AFTER_NANOS
            || (since > ABANDON_AFTER_NANOS / 10 && run.areSilent(running))) {
          abandoned = running;
        }
      }
    }
    boolean whole = abandoned.isEmpty() && drained(run, me);
    String left = run.hasFailed() ? "" : me.leftOver();
    me.drain();
    run.finish(left);
    long deadline = System.nanoTime() + DRAIN_NANOS;
    while (whole && (me.transport.isBusy() || !run.unfinished().isEmpty())) {
      progress(run, me);
      whole = System.nanoTime() < deadline;
    }
    if (whole) {
      me.transport.close();
    } else {
      broken = true;
    }
    return run.report(abandoned);
  }

  private static void progress(MpiRun run, MpiRank me) {
    if (run.hasFailed()) {
      me.drain();
    }
    if (!me.progress()) {
      LockSupport.parkNanos(me, PARK_NANOS);
      // An interrupt that came late is of no use any more.
      boolean unused = Thread.interrupted();
    }
  }

  /** Waits until all has come that was sent to this rank; false if it does not. */
  private boolean drained(MpiRun run, MpiRank me) {
    long deadline = System.nanoTime() + DRAIN_NANOS;
    for (int other = 0; other < run.size(); other++) {
      while (other != rank && !run.sendsNoMore(other)) {
        if (run.isLost(other) || System.nanoTime() > deadline) {
          return false;
        }
        progress(run, me);
      }
    }
    return true;
  }

  // ---- the end

  /** Whether ranks were left behind, so that the job can only be ended by {@link #abort}. */
  public boolean isBroken() {
    return broken;
  }

  /** Says that the run's failure has been reported, so that the process may be ended. */
  public void reported() {
    CountDownLatch ending = reporting;
    if (ending != null) {
      ending.countDown();
    }
  }

  /** When one process is gone, mpirun ends the others at once: first they may say why. */
  private void allowLastWords() {
    CountDownLatch ending = reporting;
    MpiRun run;
    synchronized (lock) {
      run = current;
    }
    try {
      if (ending != null && (run != null || broken)) {
        boolean unused = ending.await(LAST_WORDS_MILLIS, TimeUnit.MILLISECONDS);
      }
    } catch (InterruptedException ended) {
      Thread.currentThread().interrupt();
    }
  }

  /** Ends all processes of the job with an exit code, this one included. */
  public void abort(int exitCode) {
    mpi.abort(exitCode);
  }

  /** Ends MPI, once all processes have come here; does nothing if ranks were left behind. */
  @Override
  public void close() {
    synchronized (MpiProcess.class) {
      if (broken || started != this) {
        return;
      }
      started = null;
    }
    mpi.shutDown();
    try {
      link.close();
      if (hub != null) {
        hub.close();
      }
    } catch (IOException gone) {
      throw new UncheckedIOException(gone);
    }
  }
}
