package dev.heddle.runtime.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class MemoryPoolTest {
  private final MemoryPool pool = new MemoryPool("heap", new MemoryScopeTest.HeapSource());
  private final LeakDetector.Level level = LeakDetector.level();

  @AfterEach
  void restore() {
    LeakDetector.level(level);
  }

  @Test
  void sizeClasses_allSizes_fitAndWasteAnEighthAtMost() {
    long previous = 0;
    for (int i = 0; i < 400; i++) {
      long bytes = MemoryPool.classBytes(i);
      assertThat(bytes).isGreaterThan(previous);
      assertThat(MemoryPool.sizeClass(bytes)).as("%d bytes", bytes).isEqualTo(i);
      assertThat(MemoryPool.sizeClass(previous + 1)).as("%d bytes", previous + 1).isEqualTo(i);
      if (previous >= 512) {
        assertThat((double) bytes / (previous + 1)).isLessThanOrEqualTo(1.125);
        assertThat(bytes % MemoryPool.ALIGNMENT).isZero();
      }
      previous = bytes;
    }
    assertThat(MemoryPool.sizeClass(0)).isZero();
    assertThatThrownBy(() -> MemoryPool.sizeClass(-1)).hasMessage("memory pool: negative size -1");
  }

  @Test
  void allocate_sameSizesAgain_takesNothingFromTheSystem() {
    long[] sizes = {0, 1, 64, 65, 1000, 4096, 4097, 100_000, 999, 64};
    for (int step = 0; step < 10; step++) {
      try (MemoryScope scope = MemoryScope.open()) {
        for (long size : sizes) {
          Block block = pool.allocate(size);
          assertThat(block.byteSize()).isGreaterThanOrEqualTo(size);
          if (size > 4096) {
            block.disown(); // reused within the step
          }
        }
      }
      assertThat(pool.liveBytes()).isZero();
      if (step == 0) {
        assertThat(pool.systemAllocations()).isPositive();
      }
    }
    long allocations = pool.systemAllocations();
    long reserved = pool.reservedBytes();
    try (MemoryScope scope = MemoryScope.open()) {
      for (long size : sizes) {
        pool.allocate(size);
      }
    }
    // The last round held all at once; only the two large ones had shared a block before.
    assertThat(pool.systemAllocations() - allocations).isLessThanOrEqualTo(1);
    assertThat(pool.reservedBytes()).isGreaterThanOrEqualTo(reserved);
    pool.close();
  }

  private static MemoryPool lendingPool() {
    return new MemoryPool(
        "lending",
        new MemoryPool.Source() {
          @Override
          public MemorySegment allocate(long byteSize) {
            return MemorySegment.ofArray(new byte[(int) byteSize]);
          }

          @Override
          public boolean lends() {
            return true;
          }

          @Override
          public void close() {}
        });
  }

  @Test
  void allocate_whenOnlyLargerBlocksWait_isLentTheSmallestOfUpToTwiceTheSize() {
    MemoryPool lending = lendingPool();
    long size = 128 << 10;
    try (MemoryScope scope = MemoryScope.open()) {
      Block threeTimes = lending.allocate(3 * size);
      Block twice = lending.allocate(2 * size);
      Block half = lending.allocate(size + size / 2);
      threeTimes.disown();
      twice.disown();
      half.disown();
      assertThat(lending.allocate(size)).isSameAs(half);
      assertThat(lending.liveBytes()).as("what was asked for counts").isEqualTo(size);
      assertThat(lending.allocate(size)).isSameAs(twice);
      long allocations = lending.systemAllocations();
      Block own = lending.allocate(size);
      assertThat(own.byteSize()).isEqualTo(size);
      assertThat(lending.systemAllocations()).isEqualTo(allocations + 1);
      half.disown();
      assertThat(lending.liveBytes()).isEqualTo(2 * size);
      own.disown();
      assertThat(lending.allocate(size)).as("its own size comes first").isSameAs(own);
      assertThat(lending.allocate(size + size / 2)).isSameAs(half);
    }
    assertThat(lending.liveBytes()).isZero();
    lending.close();
  }

  @Test
  void allocate_smallBlocks_areNotLentToOtherSizes() {
    MemoryPool lending = lendingPool();
    try (MemoryScope scope = MemoryScope.open()) {
      Block large = lending.allocate(60 << 10);
      large.disown();
      assertThat(lending.allocate(40 << 10)).isNotSameAs(large);
    }
    lending.close();
  }

  @Test
  void allocate_fromASourceThatDoesNotLend_getsItsOwnSize() {
    try (MemoryScope scope = MemoryScope.open()) {
      pool.allocate(256 << 10).disown();
      assertThat(pool.allocate(200 << 10).byteSize()).isLessThan(256 << 10);
    }
    pool.close();
  }

  @Test
  void counters_peakAndLive_followUse() {
    try (MemoryScope scope = MemoryScope.open()) {
      Block a = pool.allocate(64);
      Block b = pool.allocate(128);
      assertThat(pool.liveBytes()).isEqualTo(192);
      a.disown();
      assertThat(pool.liveBytes()).isEqualTo(128);
      assertThat(pool.peakLiveBytes()).isEqualTo(192);
      pool.resetPeak();
      assertThat(pool.peakLiveBytes()).isEqualTo(128);
      assertThat(b.segment().byteSize()).isEqualTo(128);
    }
    assertThat(pool.peakLiveBytes()).isEqualTo(128);
    assertThat(pool.reservedBytes()).isEqualTo(192);
    pool.close();
  }

  @Test
  void trim_returnsWhatWaitsForReuse_andNothingElse() {
    List<Long> released = new ArrayList<>();
    MemoryPool scarce =
        new MemoryPool(
            "scarce",
            new MemoryPool.Source() {
              @Override
              public MemorySegment allocate(long byteSize) {
                return MemorySegment.ofAddress(4096 * byteSize);
              }

              @Override
              public void release(MemorySegment memory) {
                released.add(memory.address() / 4096);
              }

              @Override
              public void close() {}
            });
    try (MemoryScope scope = MemoryScope.open()) {
      scarce.allocate(64);
      scarce.allocate(128).disown();
      scarce.allocate(1024).disown();
      assertThat(scarce.trim()).isEqualTo(1152);
      assertThat(released).containsExactly(128L, 1024L);
      assertThat(scarce.reservedBytes()).isEqualTo(64);
      assertThat(scarce.trim()).isZero();
      scarce.allocate(128);
      assertThat(scarce.systemAllocations()).isEqualTo(4);
    }
    scarce.close();
  }

  @Test
  void trim_ofASourceThatKeepsItsMemory_isRefused() {
    pool.borrow(64).release();
    assertThatThrownBy(pool::trim)
        .isInstanceOf(UnsupportedOperationException.class)
        .hasMessageContaining("returns its memory when it is closed");
    pool.close();
  }

  @Test
  void block_reused_hasANewGenerationAndAFreshVersion() {
    try (MemoryScope scope = MemoryScope.open()) {
      Block block = pool.allocate(64);
      int generation = block.generation();
      block.touch();
      block.touch();
      assertThat(block.version()).isEqualTo(2);
      block.disown();
      Block again = pool.allocate(64);
      assertThat(again).isSameAs(block);
      assertThat(again.generation()).isEqualTo(generation + 1);
      assertThat(again.version()).isZero();
    }
    pool.close();
  }

  @Test
  void leaks_paranoid_nameThePlaceOfBirth() {
    LeakDetector.level(LeakDetector.Level.PARANOID);
    Block block;
    try (MemoryScope scope = MemoryScope.open()) {
      block = forgetful();
      block.retain();
    }
    assertThat(pool.leaks())
        .singleElement()
        .asString()
        .startsWith("LEAK in heap: 192 bytes, 1 reference(s)")
        .contains("MemoryPoolTest.forgetful(MemoryPoolTest.java:");
    assertThatThrownBy(pool::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith(
            "1 block(s) still in use when heap was closed: close the MemoryScope that owns them"
                + " first")
        .hasMessageContaining("MemoryPoolTest.forgetful(MemoryPoolTest.java:");
    block.release();
    assertThat(pool.leaks()).isEmpty();
  }

  private Block forgetful() {
    return pool.allocate(150);
  }

  @Test
  void leaks_notTraced_sayHowToTrace() {
    LeakDetector.level(LeakDetector.Level.OFF);
    try (MemoryScope scope = MemoryScope.open()) {
      pool.allocate(64);
      assertThat(pool.leaks())
          .containsExactly(
              "LEAK in heap: 64 bytes, 1 reference(s); run with -Dheddle.leaks=paranoid to see who"
                  + " allocated it");
    }
    pool.close();
  }

  @Test
  void leaks_sampled_traceSomeOfMany() {
    LeakDetector.level(LeakDetector.Level.SAMPLED);
    try (MemoryScope scope = MemoryScope.open()) {
      for (int i = 0; i < 5000; i++) {
        pool.allocate(64);
      }
      long traced = pool.leaks().stream().filter(line -> line.contains("    at ")).count();
      // One in 128 of 5000 is 39; 0 or 200 would be a billion to one.
      assertThat(traced).isBetween(3L, 150L);
    }
    pool.close();
  }

  @Test
  void close_thenAllocate_isRefused() {
    pool.close();
    pool.close();
    try (MemoryScope scope = MemoryScope.open()) {
      assertThatThrownBy(() -> pool.allocate(1))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("memory pool heap: allocation after close");
    }
  }

  @Test
  void allocate_fromManyThreads_neverSharesABlock() throws InterruptedException {
    ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
    List<Thread> threads = new ArrayList<>();
    for (int t = 0; t < 4; t++) {
      byte mark = (byte) (t + 1);
      Thread thread = new Thread(() -> useBlocks(mark, failures));
      threads.add(thread);
      thread.start();
    }
    for (Thread thread : threads) {
      thread.join();
    }
    assertThat(failures).isEmpty();
    assertThat(pool.liveBytes()).isZero();
    pool.close();
  }

  private void useBlocks(byte mark, ConcurrentLinkedQueue<Throwable> failures) {
    try {
      for (int round = 0; round < 300; round++) {
        try (MemoryScope scope = MemoryScope.open()) {
          List<Block> blocks = new ArrayList<>();
          for (int i = 0; i < 5; i++) {
            Block block = pool.allocate(64 * (1 + i % 3));
            block.segment().fill(mark);
            blocks.add(block);
          }
          Thread.yield();
          for (Block block : blocks) {
            for (int i = 0; i < block.byteSize(); i++) {
              byte got = block.segment().get(ValueLayout.JAVA_BYTE, i);
              if (got != mark) {
                throw new AssertionError("wanted " + mark + ", got " + got);
              }
            }
          }
        }
      }
    } catch (Throwable thrown) {
      failures.add(thrown);
    }
  }
}
