package dev.heddle.parallel.comm.nccl;

import dev.heddle.parallel.comm.support.Failure;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Looks after a rank's operations on the GPU, for which no host call waits: fails the group of one
 * that is overdue, that waits for a rank that has ended, or for which NCCL reports an error, and
 * ends the waiting kernels of a group that failed. A rank whose thread is interrupted, which is how
 * a run stops its ranks, is let go in the same way, since an interrupt ends no wait for a GPU.
 */
final class Watchdog implements AutoCloseable {
  private static final long LONGEST_PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(100);
  private static final long SHORT_PAUSE_NANOS = TimeUnit.MILLISECONDS.toNanos(1);

  /** How long a rank that failed has to say so to the run before the other ranks hear it here. */
  private static final long HEAD_START_NANOS = TimeUnit.MILLISECONDS.toNanos(200);

  private final NcclRank rank;
  private final long pauseNanos;
  private final Thread thread;
  private boolean stopped;
  private @Nullable Failure lastWords;

  private Watchdog(NcclRank rank) {
    this.rank = rank;
    this.pauseNanos =
        Math.max(SHORT_PAUSE_NANOS, Math.min(LONGEST_PAUSE_NANOS, rank.timeoutNanos() / 10));
    this.thread =
        Thread.ofPlatform()
            .daemon()
            .name("nccl-watchdog-" + rank.globalRank)
            .unstarted(this::watch);
  }

  static Watchdog start(NcclRank rank) {
    Watchdog watchdog = new Watchdog(rank);
    watchdog.thread.start();
    return watchdog;
  }

  private synchronized void watch() {
    boolean closely = false;
    try {
      while (!stopped) {
        TimeUnit.NANOSECONDS.timedWait(this, closely ? SHORT_PAUSE_NANOS : pauseNanos);
        if (!stopped) {
          closely = look();
        }
      }
      if (lastWords != null) {
        TimeUnit.NANOSECONDS.timedWait(this, HEAD_START_NANOS);
        for (NcclGroup group : rank.groups()) {
          group.board.fail(lastWords);
        }
      }
    } catch (InterruptedException ended) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean look() {
    try {
      boolean closely = false;
      for (NcclGroup group : rank.groups()) {
        closely |= group.look(System.nanoTime(), pauseNanos, rank.timeout());
        if (rank.isInterrupted() && group.board.failure() == null) {
          String text =
              "rank " + rank.globalRank + " was interrupted while it used its GPU with other ranks";
          rank.fail(new Failure(Failure.Kind.BROKEN, text, null));
        }
      }
      return closely;
    } catch (RuntimeException failure) {
      // Such as a lost GPU context: everything that waits for the GPU would wait for ever.
      rank.fail(
          new Failure(
              Failure.Kind.BROKEN,
              "rank " + rank.globalRank + " cannot see how its GPU is: " + failure.getMessage(),
              failure));
      return false;
    }
  }

  /** Returns when it no longer touches the rank's communicators. */
  @Override
  public synchronized void close() {
    stopped = true;
    notifyAll();
  }

  /**
   * Closes because the rank's program failed. The other ranks of this process, which may wait for
   * it on their GPUs, hear of it a little later: first the run has to learn which rank was the one
   * that failed, so that the others are stopped for that reason.
   */
  synchronized void close(Failure failure) {
    lastWords = failure;
    close();
  }
}
