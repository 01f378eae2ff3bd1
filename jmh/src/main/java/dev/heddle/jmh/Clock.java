package dev.heddle.jmh;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;

/**
 * What operators are timed by: where one thread does all the work, the time that it had a core,
 * which other work on the machine does not lengthen; else elapsed time.
 */
public final class Clock {
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

  private final boolean alone;

  /** A clock for work by {@code threads} threads, led by the calling one. */
  public Clock(int threads) {
    this.alone = threads == 1;
  }

  /** Nanoseconds since some moment. */
  public long nanos() {
    return alone ? THREADS.getCurrentThreadCpuTime() : System.nanoTime();
  }
}
