package dev.heddle.jmh.boundary;

import dev.heddle.parallel.redistribute.BoundaryPlan;
import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of a case, which live on from one batch of operations to the next and sleep in between.
 * Ranks that are started for each batch share a core for some hundred operations, find nothing in
 * the caches, and touch the pages of all their arrays first, which made errors of measurements as
 * large as the values.
 */
public final class RankBatches implements AutoCloseable {
  private static final long LONGEST_BATCH_SECONDS = 300;
  private static final long STOPPING_MILLIS = 20_000;

  private final CyclicBarrier begin;
  private final CyclicBarrier end;
  private final Thread ranks;

  // Written before a barrier that the ranks read it behind; null for the end.
  private volatile @Nullable Consumer<BoundaryTransfer> batch;
  private volatile @Nullable Throwable failure;

  /** Starts the ranks of a case and a plan that have run, so that they are not checked again. */
  public RankBatches(BoundaryCase circumstances, BoundaryPlan plan) {
    int parties = circumstances.pair().ranks() + 1;
    begin = new CyclicBarrier(parties);
    end = new CyclicBarrier(parties);
    ranks =
        Thread.ofPlatform()
            .name("rank-batches")
            .daemon()
            .start(
                () -> {
                  try {
                    circumstances.runAgain(
                        List.of(plan), rank -> serve(rank.transfers().getFirst()));
                  } catch (Throwable thrown) {
                    failure = thrown;
                    begin.reset();
                    end.reset();
                  }
                });
  }

  private void serve(BoundaryTransfer transfer) {
    while (true) {
      meet(begin);
      Consumer<BoundaryTransfer> next = batch;
      if (next == null) {
        return;
      }
      next.accept(transfer);
      meet(end);
    }
  }

  /**
   * Runs {@code work} on every rank and returns when all are done.
   *
   * @throws IllegalStateException if a rank has failed, with what it threw as the cause
   */
  public void run(Consumer<BoundaryTransfer> work) {
    batch = work;
    try {
      meet(begin);
      meet(end);
    } catch (IllegalStateException broken) {
      // The others are still being stopped.
      join(STOPPING_MILLIS);
      Throwable cause = failure;
      throw cause == null ? broken : new IllegalStateException("RankBatches: a rank failed", cause);
    }
  }

  private static void meet(CyclicBarrier barrier) {
    try {
      barrier.await(LONGEST_BATCH_SECONDS, TimeUnit.SECONDS);
    } catch (BrokenBarrierException | TimeoutException broken) {
      throw new IllegalStateException("RankBatches: a batch did not come to its end", broken);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("RankBatches: interrupted", interrupted);
    }
  }

  private void join(long millis) {
    try {
      ranks.join(millis);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Ends the ranks, which are between two batches unless one has failed. */
  @Override
  public void close() {
    if (ranks.isAlive() && failure == null) {
      batch = null;
      meet(begin);
    }
    join(STOPPING_MILLIS);
  }
}
