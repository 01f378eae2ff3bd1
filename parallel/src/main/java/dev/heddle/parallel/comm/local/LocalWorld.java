package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.RankStoppedException;
import dev.heddle.parallel.comm.support.Failure;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/**
 * Runs ranks as threads of this JVM. Each rank gets a thread and its communicator of all ranks:
 *
 * <pre>{@code
 * LocalWorld.run(2, RankProgram.onDevice(
 *     world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.BEST),
 *     (world, device) -> {
 *       NDArray gradient = NDArray.full(device, DType.F32, Shape.of(3), world.rank() + 1);
 *       world.allReduce(gradient, ReduceOp.SUM).await();
 *       // Both ranks now hold [3, 3, 3].
 *     }));
 * }</pre>
 *
 * <p>When one rank throws, the others are stopped: what they wait for, and whatever they
 * communicate next, throws {@link RankStoppedException}. Ranks that compute on are interrupted
 * after a second.
 */
public final class LocalWorld {
  /** How long an operation may wait for other ranks unless a run says otherwise. */
  public static final Duration DEFAULT_TIMEOUT = Duration.ofMinutes(5);

  private static final long INTERRUPT_AFTER_MILLIS = 1_000;
  private static final long ABANDON_AFTER_MILLIS = 10_000;

  private LocalWorld() {}

  /**
   * Runs {@code program} on {@code rankCount} ranks and returns when all have ended.
   *
   * @throws RankFailedException when a rank threw, with what it threw as the cause
   * @throws CommunicationException when all ranks ended, but left operations that never completed
   */
  public static void run(int rankCount, RankProgram program) {
    builder(rankCount).run(program);
  }

  /** Begins a run with other settings than the default ones. */
  public static Builder builder(int rankCount) {
    return new Builder(rankCount);
  }

  /** The settings of a run. */
  public static final class Builder {
    private final int rankCount;
    private Duration timeout = DEFAULT_TIMEOUT;
    private String name = "world";
    private String threadName = "rank-";

    private Builder(int rankCount) {
      if (rankCount < 1) {
        throw new IllegalArgumentException(
            "LocalWorld: got " + rankCount + " ranks, wanted at least 1");
      }
      this.rankCount = rankCount;
    }

    /** How long an operation may wait for other ranks before it fails. */
    public Builder timeout(Duration newTimeout) {
      if (newTimeout.isNegative() || newTimeout.isZero()) {
        throw new IllegalArgumentException(
            "LocalWorld: got the time-out " + newTimeout + ", wanted a positive one");
      }
      timeout = newTimeout;
      return this;
    }

    /** What the group of all ranks is called in messages; {@code world} unless set. */
    public Builder name(String newName) {
      name = newName;
      return this;
    }

    /** What the threads are called, before the rank's number; {@code rank-} unless set. */
    public Builder threadName(String prefix) {
      threadName = prefix;
      return this;
    }

    /** Runs {@code program} on every rank; see {@link LocalWorld#run}. */
    public void run(RankProgram program) {
      LocalRun run = new LocalRun(name, rankCount, timeout);
      CountDownLatch running = new CountDownLatch(rankCount);
      List<Thread> threads = new ArrayList<>();
      for (int i = 0; i < rankCount; i++) {
        int rank = i;
        Runnable body =
            () -> {
              try {
                run.runRank(rank, program);
              } finally {
                running.countDown();
              }
            };
        threads.add(Thread.ofPlatform().name(threadName + rank).daemon().unstarted(body));
      }
      threads.forEach(Thread::start);
      List<Integer> abandoned = join(run, running, threads);
      report(run, abandoned);
    }

    /** Waits for all ranks; the ranks that did not stop after another one had failed. */
    private List<Integer> join(LocalRun run, CountDownLatch running, List<Thread> threads) {
      long failedAt = 0;
      boolean interrupted = false;
      while (true) {
        try {
          if (running.await(50, TimeUnit.MILLISECONDS)) {
            return List.of();
          }
        } catch (InterruptedException stopped) {
          Thread.currentThread().interrupt();
          threads.forEach(Thread::interrupt);
          throw new CommunicationException(
              "the thread that runs " + name + " was interrupted; its ranks are told to stop",
              stopped);
        }
        if (run.failure() == null) {
          continue;
        }
        long now = System.nanoTime();
        failedAt = failedAt == 0 ? now : failedAt;
        long sinceMillis = TimeUnit.NANOSECONDS.toMillis(now - failedAt);
        if (sinceMillis > INTERRUPT_AFTER_MILLIS && !interrupted) {
          interrupted = true;
          threads.forEach(Thread::interrupt);
        }
        if (sinceMillis > ABANDON_AFTER_MILLIS) {
          return alive(threads);
        }
      }
    }

    private static List<Integer> alive(List<Thread> threads) {
      List<Integer> alive = new ArrayList<>();
      for (int i = 0; i < threads.size(); i++) {
        if (threads.get(i).isAlive()) {
          alive.add(i);
        }
      }
      return alive;
    }

    private static void report(LocalRun run, List<Integer> abandoned) {
      List<LocalRun.RankFailure> failures = run.rankFailures();
      if (failures.isEmpty()) {
        String left = run.leftOver();
        if (left != null) {
          throw new CommunicationException(
              "all ranks ended, but " + left + "; await every handle and match every send", null);
        }
        return;
      }
      LocalRun.RankFailure first = failures.get(0);
      RankFailedException report = new RankFailedException(first.rank(), first.thrown());
      for (LocalRun.RankFailure other : failures.subList(1, failures.size())) {
        if (!Failure.isConsequence(other.thrown())) {
          report.addSuppressed(other.thrown());
        }
      }
      for (int rank : abandoned) {
        report.addSuppressed(
            new CommunicationException(
                "rank "
                    + rank
                    + " did not stop and is left behind: "
                    + run.rank(rank).whereabouts(),
                null));
      }
      throw report;
    }
  }
}
