package dev.heddle.parallel.comm.local;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.Handle;
import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is particular to ranks that are threads. */
@Timeout(60)
@SuppressWarnings("try") // scopes are there to be open
class LocalWorldTest {
  @Test
  void run_ranks_areThreadsWithNamesOfTheirOwn() {
    AtomicInteger ranks = new AtomicInteger();
    LocalWorld.builder(3)
        .name("everyone")
        .threadName("worker-")
        .run(
            world -> {
              assertThat(Thread.currentThread().getName()).isEqualTo("worker-" + world.rank());
              assertThat(world.name()).isEqualTo("everyone");
              assertThat(world.size()).isEqualTo(3);
              ranks.addAndGet(1 << world.rank());
            });
    assertThat(ranks).hasValue(7);
  }

  /** The example of {@link LocalWorld}'s documentation. */
  @Test
  void theDocumentedExample_sumsAGradient() {
    LocalWorld.run(
        2,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.BEST),
            (world, device) -> {
              NDArray gradient = NDArray.full(device, DType.F32, Shape.of(3), world.rank() + 1);
              world.allReduce(gradient, ReduceOp.SUM).await();
              assertThat(gradient.toDoubles()).containsExactly(3, 3, 3);
            }));
  }

  @Test
  void barrier_noRankLeaves_beforeAllHaveCome() {
    AtomicInteger came = new AtomicInteger();
    LocalWorld.run(
        4,
        world -> {
          for (int round = 1; round <= 200; round++) {
            came.incrementAndGet();
            world.barrier();
            assertThat(came.get()).isGreaterThanOrEqualTo(4 * round);
            world.barrier();
          }
        });
  }

  @Test
  void aRankThatSleeps_whenAnotherFails_isInterrupted() {
    long start = System.nanoTime();
    assertThatThrownBy(
            () ->
                LocalWorld.run(
                    2,
                    world -> {
                      if (world.rank() == 0) {
                        throw new IllegalStateException("boom");
                      }
                      Thread.sleep(50_000);
                    }))
        .isInstanceOf(RankFailedException.class)
        .hasMessageContaining("rank 0 failed");
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
  }

  @Test
  void anotherThread_usingARanksCommunicator_isRefused() {
    LocalWorld.run(
        1,
        world -> {
          AtomicReference<Throwable> thrown = new AtomicReference<>();
          Thread other =
              new Thread(
                  () -> {
                    try {
                      world.barrier();
                    } catch (IllegalStateException refused) {
                      thrown.set(refused);
                    }
                  },
                  "intruder");
          other.start();
          other.join();
          assertThat(thrown.get())
              .hasMessageContaining("rank 0 is used by thread intruder")
              .hasMessageContaining("only the rank's own thread may communicate");
        });
  }

  @Test
  void senselessSettings_areRefused() {
    assertThatThrownBy(() -> LocalWorld.builder(0)).hasMessageContaining("got 0 ranks");
    assertThatThrownBy(() -> LocalWorld.builder(1).timeout(Duration.ZERO))
        .hasMessageContaining("time-out");
  }

  @Test
  void aHandleThatIsNeverAwaited_isReportedAtTheEnd() {
    assertThatThrownBy(
            () ->
                LocalWorld.run(
                    2,
                    world -> {
                      MetaDevice device = MetaDevice.open();
                      MemoryScope scope = MemoryScope.open();
                      NDArray array = NDArray.empty(device, DType.F32, 3);
                      if (world.rank() == 0) {
                        world.allReduce(array, ReduceOp.SUM);
                      } else {
                        world.allReduce(array, ReduceOp.SUM).await();
                      }
                      assertThat(scope).isNotNull();
                    }))
        .isInstanceOf(CommunicationException.class)
        .hasMessageContaining(
            "allReduce F32[3] SUM in world (ranks 0,1), operation 0 was not"
                + " awaited by every rank")
        .hasMessageContaining("await every handle");
  }

  @Test
  void memoryThatIsClosedUnderAMessage_failsTheRankThatCopies() {
    assertThatThrownBy(
            () ->
                LocalWorld.run(
                    2,
                    world -> {
                      CpuDevice device =
                          CpuDevice.open("cpu" + world.rank(), 1, CpuBackend.REFERENCE);
                      MemoryScope scope = MemoryScope.open();
                      NDArray array = NDArray.of(device, Shape.of(2), 1f, 2f);
                      // Else the second rank's memory may be mapped where the first's was.
                      world.barrier();
                      if (world.rank() == 0) {
                        world.exchange(List.of(Message.send(1, array)));
                        assertThatThrownBy(device::close).hasMessageContaining("still in use");
                        world.barrier();
                      } else {
                        world.barrier();
                        world.exchange(List.of(Message.receive(0, array))).await();
                      }
                      assertThat(scope).isNotNull();
                    }))
        .isInstanceOf(RankFailedException.class)
        .cause()
        .isInstanceOf(CommunicationException.class)
        .hasMessageContaining(
            "message 0 from rank 0 to rank 1 (F32 x 2) in world (ranks 0,1) failed")
        .hasRootCauseInstanceOf(IllegalStateException.class);
  }

  @Test
  void memoryThatIsClosedUnderACollective_failsAllRanks() {
    assertThatThrownBy(
            () ->
                LocalWorld.run(
                    2,
                    world -> {
                      CpuDevice device =
                          CpuDevice.open("cpu" + world.rank(), 1, CpuBackend.REFERENCE);
                      MemoryScope scope = MemoryScope.open();
                      NDArray array = NDArray.of(device, Shape.of(2), 1f, 2f);
                      Handle handle;
                      if (world.rank() == 0) {
                        handle = world.allReduce(array, ReduceOp.SUM);
                        assertThatThrownBy(device::close).hasMessageContaining("still in use");
                        world.subgroup("both", List.of(0, 1)).orElseThrow().barrier();
                      } else {
                        world.subgroup("both", List.of(0, 1)).orElseThrow().barrier();
                        handle = world.allReduce(array, ReduceOp.SUM);
                      }
                      assertThatThrownBy(handle::await)
                          .isInstanceOf(CommunicationException.class)
                          .hasMessageContaining("operation 0 failed")
                          .hasRootCauseInstanceOf(IllegalStateException.class);
                      assertThat(scope).isNotNull();
                      throw new ArithmeticException("as it should");
                    }))
        .cause()
        .isInstanceOf(ArithmeticException.class);
  }

  @Test
  void aSend_isNotDone_beforeItsReceiverCopies() {
    LocalWorld.run(
        2,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              NDArray array = NDArray.of(device, Shape.of(2), 1f, 2f);
              if (world.rank() == 0) {
                Handle send = world.exchange(List.of(Message.send(1, array)));
                assertThat(send.isDone()).isFalse();
                world.barrier();
                send.await();
              } else {
                world.barrier();
                world.exchange(List.of(Message.receive(0, array))).await();
              }
            }));
  }

  @Test
  void metaArrays_areCountedAndChecked_butNotMoved() {
    LocalWorld.run(
        2,
        world -> {
          try (MetaDevice device = MetaDevice.open();
              MemoryScope scope = MemoryScope.open()) {
            NDArray huge = NDArray.empty(device, DType.BF16, 70_000_000_000L);
            world.allReduce(huge, ReduceOp.SUM).await();
            int peer = 1 - world.rank();
            world.exchange(List.of(Message.send(peer, huge), Message.receive(peer, huge))).await();
            assertThat(world.statistics().of(CommunicationKind.ALL_REDUCE).sentBytes())
                .isEqualTo(140_000_000_000L);
            assertThat(world.statistics().bytesSentTo(peer)).isEqualTo(140_000_000_000L);
          }
        });
  }

  @Test
  void anArrayChangedByACollective_hasANewVersion() {
    LocalWorld.run(
        1,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu", 1, CpuBackend.REFERENCE),
            (world, device) -> {
              NDArray array = NDArray.of(device, Shape.of(2), 1f, 2f);
              int before = array.block().version();
              world.allReduce(array, ReduceOp.SUM).await();
              assertThat(array.block().version()).isGreaterThan(before);
            }));
  }

  @Test
  void steadyCommunication_allocatesLittleOnTheHeap() {
    int rounds = 2_000;
    LocalWorld.run(
        2,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              NDArray array = NDArray.of(device, Shape.of(64), new float[64]);
              List<NDArray> halves = List.of(array.slice(0, 0, 32), array.slice(0, 32, 64));
              int peer = 1 - world.rank();
              List<Message> ring =
                  List.of(Message.send(peer, halves.get(0)), Message.receive(peer, halves.get(1)));
              communicate(world, array, halves, ring, rounds);
              ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
              long before = threads.getCurrentThreadAllocatedBytes();
              communicate(world, array, halves, ring, rounds);
              long perRound = (threads.getCurrentThreadAllocatedBytes() - before) / rounds;
              // Five operations: a handle each, the two messages of the exchange, and no more.
              assertThat(perRound).isLessThan(800);
            }));
  }

  private static void communicate(
      Communicator world, NDArray array, List<NDArray> halves, List<Message> ring, int rounds) {
    for (int i = 0; i < rounds; i++) {
      world.allReduce(array, ReduceOp.MAX).await();
      world.allGather(halves.get(world.rank()), halves).await();
      world.reduceScatter(halves, halves.get(world.rank()), ReduceOp.MAX).await();
      world.exchange(ring).await();
      world.allReduce(1.0, ReduceOp.SUM);
    }
  }

  /** With a core for each rank, and with more ranks than cores. */
  @ParameterizedTest
  @ValueSource(ints = {2, 64})
  void ranksThatWait_useLittleProcessorTime(int ranks) {
    java.lang.management.ThreadMXBean threads = ManagementFactory.getThreadMXBean();
    LocalWorld.run(
        ranks,
        world -> {
          if (world.rank() == 0) {
            Thread.sleep(400);
          }
          long before = threads.getCurrentThreadCpuTime();
          world.barrier();
          long used = threads.getCurrentThreadCpuTime() - before;
          assertThat(Duration.ofNanos(used)).isLessThan(Duration.ofMillis(100));
        });
  }
}
