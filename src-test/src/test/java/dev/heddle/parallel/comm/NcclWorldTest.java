package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.comm.local.LocalWorldFactory;
import dev.heddle.parallel.comm.nccl.NcclWorld;
import dev.heddle.parallel.comm.support.GroupIdentity;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.ReferenceGpuKernels;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.nccl.SimulatedNccl;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What only communication between GPUs does, on simulated ones with lazy streams. */
@Timeout(120)
class NcclWorldTest {
  private static final Duration SHORT = Duration.ofMillis(500);

  @FunctionalInterface
  private interface GpuBody {
    void run(Communicator world, CudaDevice device, SimulatedNccl nccl) throws Exception;
  }

  @SuppressWarnings("try") // the simulations are there to be installed
  private static void run(int ranks, Duration timeout, GpuBody body) {
    try (SimulatedGpus gpus = SimulatedGpus.install(ranks, SimulatedOptions.lazily());
        SimulatedNccl nccl = SimulatedNccl.install()) {
      LocalWorld.builder(ranks)
          .timeout(timeout)
          .run(
              control -> {
                try (CudaDevice device = ReferenceGpuKernels.open(control.rank())) {
                  NcclWorld.run(
                      control,
                      device,
                      timeout,
                      world -> {
                        try (MemoryScope scope = MemoryScope.open()) {
                          body.run(world, device, nccl);
                        }
                      });
                }
              });
    }
  }

  private static Throwable failureOf(int ranks, Duration timeout, GpuBody body) {
    try {
      run(ranks, timeout, body);
    } catch (RankFailedException failure) {
      return failure.getCause();
    }
    throw new AssertionError("the run must fail");
  }

  // ---- meeting

  @Test
  @SuppressWarnings("try") // the simulations are there to be installed
  void aRankThatFails_whereTheOthersMeet_doesNotLeaveThemWaiting() {
    List<Throwable> told = new CopyOnWriteArrayList<>();
    long start = System.nanoTime();
    RankFailedException failure = null;
    try (SimulatedGpus gpus = SimulatedGpus.install(2, SimulatedOptions.lazily());
        SimulatedNccl nccl = SimulatedNccl.install()) {
      LocalWorld.run(
          2,
          control -> {
            try (CudaDevice device = ReferenceGpuKernels.open(control.rank())) {
              NcclWorld.run(
                  control,
                  device,
                  World.PATIENT,
                  world -> {
                    if (world.rank() == 0) {
                      // It comes as far as the control communicator can tell, and not to NCCL.
                      control
                          .subgroup(GroupIdentity.meetingOf("pair"), List.of(1, 0))
                          .orElseThrow()
                          .allGather(new long[0]);
                      throw new IllegalStateException("boom");
                    }
                    try {
                      world.subgroup("pair", List.of(1, 0));
                    } catch (CommunicationException stopped) {
                      told.add(stopped);
                      throw stopped;
                    }
                  });
            }
          });
    } catch (RankFailedException failed) {
      failure = failed;
    }
    assertThat(failure).hasMessage("rank 0 failed: java.lang.IllegalStateException: boom");
    assertThat(failure.getSuppressed()).isEmpty();
    assertThat(told).hasSize(1).hasOnlyElementsOfType(RankStoppedException.class);
    assertThat(told.get(0).getSuppressed()).isEmpty();
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(5));
    assertThat(Thread.getAllStackTraces().keySet())
        .extracting(Thread::getName)
        .doesNotContain("heddle-nccl-meeting");
  }

  // ---- what the host does

  @Test
  void steadyOperations_neitherWaitOnTheHostNorAllocate() {
    run(
        2,
        World.PATIENT,
        (world, device, nccl) -> {
          NDArray array = NDArray.full(device, DType.F32, Shape.of(8, 6), 1);
          NDArray other = NDArray.full(device, DType.F32, Shape.of(8, 6), 2);
          for (int step = 0; step < 50; step++) {
            long waits = device.counters().hostSynchronizations();
            long allocations = device.counters().deviceAllocations();
            world.allReduce(array.slice(1, 0, 3), ReduceOp.MAX).await();
            world
                .exchange(
                    List.of(
                        Message.sendRows(1 - world.rank(), array, new long[] {1, 3, 5, 6}, 0, 4),
                        Message.receiveRows(1 - world.rank(), other, new long[] {0, 3}, 1, 4)))
                .await();
            if (step > 0) {
              assertThat(device.counters().hostSynchronizations()).isEqualTo(waits);
              assertThat(device.counters().deviceAllocations()).isEqualTo(allocations);
            }
          }
          assertThat(other.slice(0, 0, 3).slice(1, 1, 5).toDoubles()).containsOnly(1);
        });
  }

  @Test
  void statistics_equalThoseOfThreads() {
    ConcurrentHashMap<Integer, String> onGpus = new ConcurrentHashMap<>();
    ConcurrentHashMap<Integer, String> onThreads = new ConcurrentHashMap<>();
    RankBody body =
        (world, device) -> {
          int me = world.rank();
          NDArray array = NDArray.of(device, DType.F32, Shape.of(9), new double[9]);
          List<NDArray> parts = Values.split(array, 0, new long[] {2, 3, 4});
          world.allReduce(array, ReduceOp.SUM).await();
          world.allGather(parts.get(me), parts).await();
          world.reduceScatter(parts, parts.get(me), ReduceOp.MAX).await();
          Communicator pair = world.subgroup("ring", List.of(2, 0, 1)).orElseThrow();
          NDArray came = NDArray.empty(device, DType.F32, 9);
          int next = (pair.rank() + 1) % 3;
          int before = (pair.rank() + 2) % 3;
          pair.exchange(List.of(Message.send(next, array), Message.receive(before, came))).await();
          world.barrier();
          world.allGather(new long[] {me});
          (device instanceof CudaDevice ? onGpus : onThreads)
              .put(me, world.totalStatistics() + " " + world.totalStatistics().bytesSentTo(1));
        };
    SimulatedGpuWorld.lazy().run(3, World.PATIENT, SimulatedGpuWorld.lazy().program(body));
    LocalWorldFactory.world().run(3, World.PATIENT, body.program());
    assertThat(onGpus).hasSize(3).isEqualTo(onThreads);
  }

  @Test
  @SuppressWarnings("try") // the scope is there to be open
  void packingAndMaxima_byTheKernelsThatShip_giveTheSame() {
    try (SimulatedGpus gpus = SimulatedGpus.install(2, SimulatedOptions.lazily());
        SimulatedNccl nccl = SimulatedNccl.install()) {
      LocalWorld.run(
          2,
          control -> {
            try (CudaDevice device = CudaDevice.open(control.rank());
                MemoryScope scope = MemoryScope.open()) {
              NcclWorld.run(control, device, world -> useKernels(world, device));
            }
          });
      assertThat(gpus.complaints()).isEmpty();
      assertThat(nccl.complaints()).isEmpty();
    }
  }

  private static void useKernels(Communicator world, CudaDevice device) {
    int me = world.rank();
    double[] values = Values.of(DType.F32, 60, me);
    NDArray matrix = NDArray.of(device, DType.F32, Shape.of(20, 3), values);
    // Every second row, more intervals than are copied one by one.
    long[] rows = new long[20];
    for (int i = 0; i < 10; i++) {
      rows[2 * i] = 2L * i;
      rows[2 * i + 1] = 2L * i + 1;
    }
    NDArray came = NDArray.zeros(device, DType.F32, 12, 5);
    world
        .exchange(
            List.of(
                Message.sendRows(1 - me, matrix, rows, 1, 2),
                Message.receiveRows(1 - me, came, new long[] {1, 6, 7, 12}, 2, 2)))
        .await();
    double[] other = Values.of(DType.F32, 60, 1 - me);
    double[] got = came.toDoubles();
    for (int i = 0; i < 10; i++) {
      int row = i < 5 ? 1 + i : 2 + i;
      assertThat(got[row * 5 + 2]).isEqualTo(other[2 * i * 3 + 1]);
      assertThat(got[row * 5 + 3]).isEqualTo(other[2 * i * 3 + 2]);
    }
    for (DType dtype : List.of(DType.F32, DType.BF16)) {
      for (ReduceOp op : ReduceOp.values()) {
        NDArray array = NDArray.of(device, dtype, Shape.of(4, 5), Values.of(dtype, 20, me));
        NDArray columns = array.slice(1, 1, 4);
        world.allReduce(columns, op).await();
        double[] wanted =
            Values.reduce(dtype, op, List.of(Values.of(dtype, 20, 0), Values.of(dtype, 20, 1)));
        double[] reduced = array.toDoubles();
        for (int i = 0; i < 20; i++) {
          boolean inside = i % 5 >= 1 && i % 5 < 4;
          assertThat(reduced[i]).isEqualTo(inside ? wanted[i] : Values.of(dtype, 20, me)[i]);
        }
      }
    }
  }

  // ---- which calls are made

  @Test
  void partsOfOneSize_goByNcclsOwnCollectives_othersByGroupedOnes() {
    run(
        3,
        World.PATIENT,
        (world, device, nccl) -> {
          NDArray array = NDArray.full(device, DType.F32, Shape.of(9), world.rank());
          List<NDArray> equal = Values.split(array, 0, new long[] {3, 3, 3});
          List<NDArray> uneven = Values.split(array, 0, new long[] {2, 3, 4});
          NDArray part = NDArray.empty(device, DType.F32, 3);
          world.barrier();
          // The meeting of the group has connected all ranks by messages.
          int sends = nccl.calls("ncclSend");
          int receives = nccl.calls("ncclRecv");
          world.barrier();
          world.allGather(equal.get(world.rank()), equal).await();
          world.reduceScatter(equal, part, ReduceOp.SUM).await();
          world.barrier();
          assertThat(nccl.calls("ncclAllGather")).isEqualTo(3);
          assertThat(nccl.calls("ncclReduceScatter")).isEqualTo(3);
          assertThat(nccl.calls("ncclSend")).isEqualTo(sends);
          assertThat(nccl.calls("ncclReduce")).isZero();
          world.barrier();
          world.allGather(uneven.get(world.rank()), uneven).await();
          NDArray mine = NDArray.empty(device, DType.F32, 2 + world.rank());
          world.reduceScatter(uneven, mine, ReduceOp.SUM).await();
          world.barrier();
          assertThat(nccl.calls("ncclSend")).isEqualTo(sends + 6);
          assertThat(nccl.calls("ncclRecv")).isEqualTo(receives + 6);
          assertThat(nccl.calls("ncclReduce")).isEqualTo(9);
          assertThat(part.toDoubles()).containsOnly(3.0 * world.rank());
        });
  }

  @Test
  void groupsOfOneRank_needNoNccl() {
    run(
        2,
        World.PATIENT,
        (world, device, nccl) -> {
          int before = nccl.calls("ncclCommInitRankConfig") + nccl.calls("ncclCommSplit");
          Communicator alone = world.subgroup("alone", List.of(world.rank())).orElseThrow();
          NDArray array = NDArray.full(device, DType.F32, Shape.of(4), 3);
          NDArray whole = NDArray.empty(device, DType.F32, 4);
          alone.allReduce(array, ReduceOp.SUM).await();
          alone.allGather(array, List.of(whole)).await();
          assertThat(whole.toDoubles()).containsOnly(3);
          assertThat(nccl.calls("ncclCommInitRankConfig") + nccl.calls("ncclCommSplit"))
              .isEqualTo(before);
        });
  }

  // ---- what does not wait for what

  @Test
  void ranksThatAllSendBeforeTheyReceive_doNotWaitForEachOther() {
    run(
        4,
        World.PATIENT,
        (world, device, nccl) -> {
          NDArray own = NDArray.full(device, DType.F32, Shape.of(5), world.rank());
          for (int i = 1; i < 4; i++) {
            NDArray came = NDArray.empty(device, DType.F32, 5);
            int to = (world.rank() + i) % 4;
            int from = (world.rank() + 4 - i) % 4;
            Handle sent = world.exchange(List.of(Message.send(to, own)));
            Handle received = world.exchange(List.of(Message.receive(from, came)));
            received.await();
            assertThat(came.toDoubles()).containsOnly(from);
            sent.await();
          }
        });
  }

  @Test
  void whatIsSentAndTakenLate_holdsUpNeitherReceivesNorCollectives() {
    run(
        3,
        World.PATIENT,
        (world, device, nccl) -> {
          NDArray own = NDArray.full(device, DType.F32, Shape.of(5), world.rank());
          NDArray sum = NDArray.full(device, DType.F32, Shape.of(2), 1);
          NDArray came = NDArray.empty(device, DType.F32, 5);
          Handle late = null;
          if (world.rank() == 1) {
            late = world.exchange(List.of(Message.send(2, own)));
            world.exchange(List.of(Message.receive(0, came))).await();
            assertThat(came.toDoubles()).containsOnly(0);
          } else if (world.rank() == 0) {
            world.exchange(List.of(Message.send(1, own))).await();
          }
          world.allReduce(sum, ReduceOp.SUM).await();
          assertThat(sum.toDoubles()).containsOnly(3);
          world.barrier();
          if (world.rank() == 2) {
            world.exchange(List.of(Message.receive(1, came))).await();
            assertThat(came.toDoubles()).containsOnly(1);
          } else if (late != null) {
            late.await();
          }
        });
  }

  @Test
  void arraysInMainMemory_goOverTheControlCommunicator() {
    run(
        2,
        World.PATIENT,
        (world, device, nccl) -> {
          try (CpuDevice host = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
              MemoryScope scope = MemoryScope.open()) {
            NDArray array = NDArray.of(host, DType.F32, Shape.of(2), 1, world.rank());
            world.barrier();
            int before = nccl.calls("ncclAllReduce");
            world.barrier();
            world.allReduce(array, ReduceOp.SUM).await();
            assertThat(array.toDoubles()).containsExactly(2, 1);
            assertThat(nccl.calls("ncclAllReduce")).isEqualTo(before);
            NDArray onGpu = NDArray.full(device, DType.F32, Shape.of(1), 1);
            assertThatThrownBy(
                    () -> world.allGather(onGpu, Values.split(array, 0, new long[] {1, 1})))
                .hasMessageContaining("all arrays of a call are on one device");
            assertThat(scope).isNotNull();
          }
        });
  }

  // ---- failures

  @Test
  void aRankThatDoesNotCome_isNamedWhereAValueIsRead_andEveryKernelIsAborted() {
    Throwable failure =
        failureOf(
            3,
            SHORT,
            (world, device, nccl) -> {
              NDArray array = NDArray.full(device, DType.F32, Shape.of(12), 1);
              if (world.rank() == 1) {
                Thread.sleep(1_500);
                assertThat(nccl.calls("ncclCommAbort")).isGreaterThanOrEqualTo(2);
                return;
              }
              world.allReduce(array, ReduceOp.SUM).await();
              array.toDoubles();
            });
    assertThat(failure)
        .isInstanceOf(CommunicationTimeoutException.class)
        .hasMessageContaining(
            "allReduce F32[12] SUM in world (ranks 0,1,2), operation 0 timed out after 0.5 s; came:"
                + " rank 0, rank 2; did not come: rank 1 (has not communicated yet; is at ");
  }

  @Test
  void anAsynchronousError_isThrownByTheNextCall() {
    Throwable failure =
        failureOf(
            2,
            World.PATIENT,
            (world, device, nccl) -> {
              NDArray array = NDArray.full(device, DType.F32, Shape.of(2), 1);
              world.allReduce(array, ReduceOp.SUM).await();
              world.barrier();
              if (world.rank() == 1) {
                nccl.failAsynchronously(1, Nccl.ncclRemoteError());
              }
              world.barrier();
              world.allReduce(array, ReduceOp.SUM).await();
              array.toDoubles();
            });
    assertThat(failure)
        .isInstanceOf(CommunicationException.class)
        .hasMessageContaining("NCCL in world (ranks 0,1) failed: ncclRemoteError")
        .hasMessageContaining("another rank has ended or lost its connection");
  }

  @Test
  void aHandleThatNobodyAwaited_isReported() {
    Throwable failure =
        failureOf(
            2,
            World.PATIENT,
            (world, device, nccl) ->
                world.allReduce(NDArray.full(device, DType.F32, Shape.of(2), 1), ReduceOp.SUM));
    assertThat(failure)
        .hasMessageContaining(
            "allReduce F32[2] SUM in world (ranks 0,1), operation 0 was not awaited");
  }

  @Test
  void twoRanksOnOneGpu_areToldWhatToDo() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        SimulatedNccl nccl = SimulatedNccl.install()) {
      gpus.callStuckAfter(SHORT);
      assertThatThrownBy(
              () ->
                  LocalWorld.run(
                      2,
                      control -> {
                        try (CudaDevice device = ReferenceGpuKernels.open(0)) {
                          NcclWorld.run(control, device, world -> {});
                        }
                      }))
          .cause()
          .hasMessageContaining("ncclCommInitRankConfig in world (ranks 0,1) failed")
          .hasMessageContaining("Duplicate GPU detected")
          .hasMessageContaining("each rank needs a GPU of its own");
      assertThat(nccl.openCommunicators()).isEmpty();
    }
  }

  @Test
  void ncclThatIsAbsent_isSaidWithAllThatWasTried() {
    assumeFalse(NativeLibrary.NCCL.isAvailable(), "NCCL is on this machine");
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily())) {
      assertThatThrownBy(
              () ->
                  LocalWorld.run(
                      1,
                      control -> {
                        try (CudaDevice device = ReferenceGpuKernels.open(0)) {
                          NcclWorld.run(control, device, world -> {});
                        }
                      }))
          .cause()
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("NCCL")
          .hasMessageContaining("libnccl.so.2")
          .hasMessageContaining("What to do: ");
      assertThat(NcclWorld.libraryVersion()).isEmpty();
      assertThat(gpus.complaints()).isEmpty();
    }
  }
}
