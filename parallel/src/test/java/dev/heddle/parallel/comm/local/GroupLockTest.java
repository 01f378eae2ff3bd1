package dev.heddle.parallel.comm.local;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Only one at a time, with more threads than cores too. */
@Timeout(60)
class GroupLockTest {
  private int inside;
  private long sum;

  @Test
  void sections_ofManyThreads_doNotOverlap() throws InterruptedException {
    GroupLock lock = new GroupLock();
    int each = 20_000;
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      threads.add(
          Thread.ofPlatform()
              .start(
                  () -> {
                    for (int j = 0; j < each; j++) {
                      section(lock);
                    }
                  }));
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertThat(sum).isEqualTo(16L * each);
    assertThat(inside).isZero();
  }

  private void section(GroupLock lock) {
    lock.lock();
    try {
      inside++;
      // Two that overlapped would both count, or neither.
      sum += inside;
      inside--;
    } finally {
      lock.unlock();
    }
  }

  @Test
  void lock_whileAnotherHoldsItForLong_waits_andThenHasIt() throws InterruptedException {
    GroupLock lock = new GroupLock();
    lock.lock();
    Thread waits =
        Thread.ofPlatform()
            .start(
                () -> {
                  lock.lock();
                  sum = 7;
                  lock.unlock();
                });
    waits.join(200);
    assertThat(waits.isAlive()).isTrue();
    lock.unlock();
    waits.join();
    assertThat(sum).isEqualTo(7);
  }
}
