package dev.heddle.runtime.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The threads of one rank: the caller and {@code threads - 1} helpers. {@link #run} cuts a range
 * into chunks whose borders depend only on the range and the grain, never on the number of threads,
 * so that results do not either. Helpers spin briefly for the next task and then park, so an idle
 * rank uses no core. One task runs at a time, started by the rank's own thread.
 *
 * <p>The caller waits for chunks, not for helpers: one that the system has not scheduled, or that
 * is still asleep, delays nobody. A chunk is claimed by a step of a counter that carries the number
 * of its task, so a helper that comes late cannot take a chunk of a task whose description it has
 * not read.
 */
public final class WorkerPool implements AutoCloseable {
  /** What is done for the indices {@code start} (inclusive) to {@code end} (exclusive). */
  @FunctionalInterface
  public interface RangeTask {
    /** Does the work of one chunk; chunks run concurrently. */
    void run(long start, long end);
  }

  /** A {@link RangeTask} that needs scratch memory of its own for each thread. */
  @FunctionalInterface
  public interface WorkerTask {
    /**
     * Does the work of one chunk.
     *
     * @param worker number of the thread that runs it, from 0 to {@link #threads()} - 1
     */
    void run(int worker, long start, long end);
  }

  private static final RangeTask NOTHING = (start, end) -> {};
  private static final int SPINS = 10_000;
  private static final int CHUNK_BITS = 31;
  private static final long CHUNK_MASK = (1L << CHUNK_BITS) - 1;

  private final int threads;
  private final Thread[] helpers;

  /**
   * The task that the caller runs alone. It is volatile, so that the compiler does not know what
   * comes out of it: a task whose class it knows is inlined into whoever starts it, and together
   * they may be more than it inlines; see {@link RowStages}.
   */
  private volatile RangeTask alone = NOTHING;

  private final AtomicInteger asleep = new AtomicInteger();

  /** Number of the task in the upper bits, count of its unclaimed chunks in the lower. */
  private final AtomicLong state = new AtomicLong();

  private final AtomicInteger finished = new AtomicInteger();
  private volatile boolean closed;
  private volatile @Nullable Throwable failure;

  // Written before and read after the accesses to `state` that publish a task.
  private @Nullable RangeTask rangeTask;
  private @Nullable WorkerTask workerTask;
  private long total;
  private long grain;
  private int chunks;

  /** A pool that uses {@code threads} threads, the caller's included. */
  public WorkerPool(String name, int threads) {
    if (threads < 1) {
      throw new IllegalArgumentException("WorkerPool: wanted at least 1 thread, got " + threads);
    }
    this.threads = threads;
    this.helpers = new Thread[threads - 1];
    for (int i = 0; i < helpers.length; i++) {
      int worker = i + 1;
      helpers[i] =
          Thread.ofPlatform().name(name + "-worker-" + worker).daemon().start(() -> help(worker));
    }
  }

  /** Threads that take part in {@link #run}, the caller's included. */
  public int threads() {
    return threads;
  }

  /**
   * Runs {@code task} over [0, total) in chunks of {@code grain} and returns when all are done. A
   * range of at most one grain runs on the caller alone.
   *
   * @throws RuntimeException the first failure of any chunk
   */
  public void run(long total, long grain, RangeTask task) {
    if (total <= 0) {
      return;
    }
    long step = Math.max(1, grain);
    if (threads == 1 || total <= step) {
      alone = task;
      RangeTask unknown = alone;
      try {
        for (long start = 0; start < total; start += step) {
          unknown.run(start, Math.min(total, start + step));
        }
      } finally {
        alone = NOTHING;
      }
    } else {
      share(total, step, task, null);
    }
  }

  /** {@link #run(long, long, RangeTask)} for a task that wants to know its thread's number. */
  public void runOnWorkers(long total, long grain, WorkerTask task) {
    if (total <= 0) {
      return;
    }
    long step = Math.max(1, grain);
    if (threads == 1 || total <= step) {
      for (long start = 0; start < total; start += step) {
        task.run(0, start, Math.min(total, start + step));
      }
    } else {
      share(total, step, null, task);
    }
  }

  private void share(
      long newTotal, long newGrain, @Nullable RangeTask range, @Nullable WorkerTask worker) {
    int count = Math.toIntExact((newTotal + newGrain - 1) / newGrain);
    // A late helper may read these now, but no chunk is left to be claimed, and only a claim makes
    // a reading count.
    rangeTask = range;
    workerTask = worker;
    total = newTotal;
    grain = newGrain;
    chunks = count;
    failure = null;
    finished.set(0);
    long epoch = (state.get() >>> CHUNK_BITS) + 1;
    state.set(epoch << CHUNK_BITS | count);
    if (asleep.get() > 0) {
      for (Thread helper : helpers) {
        LockSupport.unpark(helper);
      }
    }
    work(0, epoch);
    int spins = 0;
    while (finished.get() < count) {
      if (++spins < SPINS) {
        Thread.onSpinWait();
      } else {
        Thread.yield();
      }
    }
    rangeTask = null;
    workerTask = null;
    rethrow(failure);
  }

  private static void rethrow(@Nullable Throwable thrown) {
    switch (thrown) {
      case null -> {}
      case RuntimeException runtime -> throw runtime;
      case Error error -> throw error;
      default -> throw new IllegalStateException(thrown);
    }
  }

  /** Claims and runs chunks of task number {@code epoch} until none is left. */
  private void work(int worker, long epoch) {
    while (true) {
      long claim = state.get();
      long unclaimed = claim & CHUNK_MASK;
      if (claim >>> CHUNK_BITS != epoch || unclaimed == 0) {
        return;
      }
      RangeTask range = rangeTask;
      WorkerTask task = workerTask;
      long end = total;
      long step = grain;
      long start = (chunks - unclaimed) * step;
      // Success proves that what was read above belongs to this task: it cannot end, and the next
      // cannot be described, while a chunk is unclaimed.
      if (!state.compareAndSet(claim, claim - 1)) {
        continue;
      }
      try {
        if (failure == null) {
          if (range != null) {
            range.run(start, Math.min(end, start + step));
          } else if (task != null) {
            task.run(worker, start, Math.min(end, start + step));
          }
        }
      } catch (Throwable thrown) {
        failure = thrown;
      } finally {
        finished.incrementAndGet();
      }
    }
  }

  private void help(int worker) {
    long seen = 0;
    while (!closed) {
      int spins = 0;
      while (state.get() >>> CHUNK_BITS == seen && ++spins < SPINS) {
        Thread.onSpinWait();
      }
      if (state.get() >>> CHUNK_BITS == seen) {
        asleep.incrementAndGet();
        // A task started before this test is seen by it; one started after sees `asleep` and
        // leaves a permit: no lost wake-up.
        while (state.get() >>> CHUNK_BITS == seen && !closed) {
          LockSupport.park(this);
        }
        asleep.decrementAndGet();
      }
      seen = state.get() >>> CHUNK_BITS;
      work(worker, seen);
    }
  }

  /** Stops the helpers. */
  @Override
  public void close() {
    closed = true;
    for (Thread helper : helpers) {
      LockSupport.unpark(helper);
    }
  }
}
