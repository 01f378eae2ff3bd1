package dev.heddle.runtime.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * The threads of one rank: the caller and {@code threads - 1} helpers. {@link #run} cuts a range
 * into chunks whose borders depend only on the range and the grain, never on the number of threads,
 * so that results do not either. Helpers spin briefly for the next task and then park, so an idle
 * rank uses no core. One task runs at a time, started by the rank's own thread.
 */
public final class WorkerPool implements AutoCloseable {
  /** What is done for the indices {@code start} (inclusive) to {@code end} (exclusive). */
  @FunctionalInterface
  public interface RangeTask {
    /** Does the work of one chunk; chunks run concurrently. */
    void run(long start, long end);
  }

  private static final int SPINS = 20_000;

  private final int threads;
  private final Thread[] helpers;
  private final boolean[] parked;

  private final AtomicInteger nextChunk = new AtomicInteger();
  private final AtomicInteger running = new AtomicInteger();
  private volatile int epoch;
  private volatile boolean closed;
  private volatile @Nullable Throwable failure;

  // Published by the volatile write of epoch.
  private @Nullable RangeTask task;
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
    this.parked = new boolean[threads - 1];
    for (int i = 0; i < helpers.length; i++) {
      int index = i;
      helpers[i] =
          Thread.ofPlatform().name(name + "-worker-" + (i + 1)).daemon().start(() -> help(index));
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
      for (long start = 0; start < total; start += step) {
        task.run(start, Math.min(total, start + step));
      }
      return;
    }
    this.task = task;
    this.total = total;
    this.grain = step;
    this.chunks = Math.toIntExact((total + step - 1) / step);
    failure = null;
    running.set(helpers.length);
    nextChunk.set(0);
    epoch++;
    synchronized (parked) {
      for (int i = 0; i < helpers.length; i++) {
        if (parked[i]) {
          LockSupport.unpark(helpers[i]);
        }
      }
    }
    work();
    int spins = 0;
    while (running.get() > 0) {
      if (++spins < SPINS) {
        Thread.onSpinWait();
      } else {
        Thread.yield();
      }
    }
    this.task = null;
    Throwable thrown = failure;
    if (thrown != null) {
      if (thrown instanceof RuntimeException runtime) {
        throw runtime;
      }
      if (thrown instanceof Error error) {
        throw error;
      }
      throw new IllegalStateException(thrown);
    }
  }

  private void work() {
    RangeTask current = task;
    int count = chunks;
    if (current == null) {
      return;
    }
    for (int chunk = nextChunk.getAndIncrement(); chunk < count; ) {
      long start = chunk * grain;
      try {
        current.run(start, Math.min(total, start + grain));
      } catch (Throwable thrown) {
        failure = thrown;
        nextChunk.set(count);
        return;
      }
      chunk = nextChunk.getAndIncrement();
    }
  }

  private void help(int index) {
    int seen = 0;
    while (true) {
      int spins = 0;
      while (epoch == seen) {
        if (closed) {
          return;
        }
        if (++spins < SPINS) {
          Thread.onSpinWait();
          continue;
        }
        synchronized (parked) {
          parked[index] = true;
        }
        // A task started between the test of epoch and this park leaves a permit: no lost wake-up.
        if (epoch == seen && !closed) {
          LockSupport.park(this);
        }
        synchronized (parked) {
          parked[index] = false;
        }
        spins = 0;
      }
      seen = epoch;
      work();
      running.decrementAndGet();
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
