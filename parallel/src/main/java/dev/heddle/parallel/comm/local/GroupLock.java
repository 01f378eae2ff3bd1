package dev.heddle.parallel.comm.local;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;

/**
 * The lock of a group, for sections of well below a microsecond that all ranks enter at about the
 * same time. A monitor parks whoever finds it taken, and waking a thread takes twenty times as long
 * as such a section; this one is tried again, then offers its core, and sleeps only while the owner
 * does something rare, such as describing a failure. Not reentrant.
 */
final class GroupLock {
  private static final int SPINS = 100;
  private static final int YIELDS = 100;
  private static final long PAUSE_NANOS = 50_000;

  private final AtomicBoolean taken = new AtomicBoolean();

  void lock() {
    if (!taken.compareAndSet(false, true)) {
      lockSlowly();
    }
  }

  private void lockSlowly() {
    for (int i = 0; taken.get() || !taken.compareAndSet(false, true); i++) {
      if (i < SPINS) {
        Thread.onSpinWait();
      } else if (i < SPINS + YIELDS) {
        Thread.yield();
      } else {
        LockSupport.parkNanos(this, PAUSE_NANOS);
      }
    }
  }

  void unlock() {
    taken.setRelease(false);
  }
}
