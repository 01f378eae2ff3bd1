package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class WorkerPoolTest {
  @Test
  void run_anyTotalGrainAndThreads_doesEachIndexOnceInFixedChunks() {
    for (int threads : new int[] {1, 2, 3, 5}) {
      try (WorkerPool pool = new WorkerPool("test", threads)) {
        assertThat(pool.threads()).isEqualTo(threads);
        for (int total : new int[] {0, 1, 2, 7, 64, 100, 1001}) {
          for (int grain : new int[] {1, 2, 7, 64, 2000}) {
            AtomicIntegerArray done = new AtomicIntegerArray(total);
            Set<Long> starts = new ConcurrentSkipListSet<>();
            pool.run(
                total,
                grain,
                (start, end) -> {
                  assertThat(start % grain).isZero();
                  assertThat(end).isEqualTo(Math.min(total, start + grain));
                  starts.add(start);
                  for (long i = start; i < end; i++) {
                    done.incrementAndGet((int) i);
                  }
                });
            for (int i = 0; i < total; i++) {
              assertThat(done.get(i)).isEqualTo(1);
            }
            assertThat(starts).hasSize((total + grain - 1) / grain);
          }
        }
      }
    }
  }

  @Test
  void run_manySmallTasksInARow_losesNone() {
    try (WorkerPool pool = new WorkerPool("test", 3)) {
      AtomicInteger sum = new AtomicInteger();
      int expected = 0;
      for (int round = 0; round < 5_000; round++) {
        int total = 2 + round % 5;
        expected += total;
        pool.run(total, 1, (start, end) -> sum.addAndGet((int) (end - start)));
        assertThat(sum.get()).isEqualTo(expected);
      }
    }
  }

  @Test
  void run_afterHelpersFellAsleep_wakesThem() throws InterruptedException {
    try (WorkerPool pool = new WorkerPool("test", 2)) {
      for (int round = 0; round < 3; round++) {
        Thread.sleep(50);
        Set<String> names = new ConcurrentSkipListSet<>();
        long deadline = System.nanoTime() + 10_000_000_000L;
        while (names.size() < 2 && System.nanoTime() < deadline) {
          pool.run(
              64,
              1,
              (start, end) -> {
                names.add(Thread.currentThread().getName());
                Thread.yield();
              });
        }
        assertThat(names).contains("test-worker-1", Thread.currentThread().getName());
      }
    }
  }

  @Test
  void run_aSingleGrain_staysOnTheCaller() {
    try (WorkerPool pool = new WorkerPool("test", 2)) {
      Thread caller = Thread.currentThread();
      pool.run(10, 10, (start, end) -> assertThat(Thread.currentThread()).isSameAs(caller));
    }
  }

  @Test
  void run_failingChunk_isThrownAndThePoolGoesOn() {
    try (WorkerPool pool = new WorkerPool("test", 2)) {
      for (int failing = 0; failing < 20; failing++) {
        int bad = failing;
        assertThatThrownBy(
                () ->
                    pool.run(
                        20,
                        1,
                        (start, end) -> {
                          if (start == bad) {
                            throw new UncheckedIOException(new IOException("chunk " + start));
                          }
                        }))
            .isInstanceOf(UncheckedIOException.class)
            .hasMessageContaining("chunk " + bad);
        AtomicInteger done = new AtomicInteger();
        pool.run(20, 1, (start, end) -> done.incrementAndGet());
        assertThat(done).hasValue(20);
      }
      assertThatThrownBy(
              () ->
                  pool.run(
                      2,
                      1,
                      (start, end) -> {
                        throw new StackOverflowError("deep");
                      }))
          .isInstanceOf(StackOverflowError.class);
    }
  }

  @Test
  void close_stopsTheHelpers() throws InterruptedException {
    WorkerPool pool = new WorkerPool("closing", 3);
    pool.run(100, 1, (start, end) -> {});
    pool.close();
    long deadline = System.nanoTime() + 10_000_000_000L;
    while (helpersAlive() && System.nanoTime() < deadline) {
      Thread.sleep(5);
    }
    assertThat(helpersAlive()).isFalse();
  }

  private static boolean helpersAlive() {
    return Thread.getAllStackTraces().keySet().stream()
        .anyMatch(thread -> thread.isAlive() && thread.getName().startsWith("closing-worker-"));
  }

  @Test
  void pool_noThreads_isRefused() {
    assertThatThrownBy(() -> new WorkerPool("test", 0))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("WorkerPool: wanted at least 1 thread, got 0");
  }
}
