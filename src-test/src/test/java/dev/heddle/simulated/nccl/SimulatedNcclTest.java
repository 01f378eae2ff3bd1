package dev.heddle.simulated.nccl;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.bindings.nccl.Nccl;
import dev.heddle.bindings.nccl.ncclUniqueId;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaEvent;
import dev.heddle.runtime.cuda.CudaException;
import dev.heddle.runtime.cuda.CudaStream;
import dev.heddle.runtime.cuda.ReferenceGpuKernels;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Mistakes that the simulated NCCL must find, planted below the production communicator. */
@Timeout(120)
class SimulatedNcclTest {
  /** A rank with its GPU, a second stream of it, and a communicator of all ranks. */
  private record Rank(
      Communicator control,
      CudaDevice device,
      CudaStream stream,
      MemorySegment communicator,
      SimulatedNccl nccl) {
    int number() {
      return control.rank();
    }

    /** The communication stream waits for the work that the device has now. */
    void order() {
      try (CudaEvent event = CudaEvent.open(device.context())) {
        device.stream().record(event);
        stream.waitFor(event);
      }
    }

    int allReduce(NDArray array, long count, CudaStream on) {
      device.context().makeCurrent();
      return Nccl.ncclAllReduce(
          at(array), at(array), count, type(array), Nccl.ncclSum(), communicator, on.address());
    }
  }

  @FunctionalInterface
  private interface Body {
    void run(Rank rank) throws Exception;
  }

  private static MemorySegment at(NDArray array) {
    return MemorySegment.ofAddress(array.address());
  }

  private static int type(NDArray array) {
    return switch (array.dtype()) {
      case F32 -> Nccl.ncclFloat32();
      case BF16 -> Nccl.ncclBfloat16();
      default -> Nccl.ncclInt32();
    };
  }

  /** Runs ranks that all end well, or whose contexts are lost. */
  @SuppressWarnings("try") // the scope is there to be open
  private static List<String> run(int ranks, Body body) {
    try (SimulatedGpus gpus = SimulatedGpus.install(ranks, SimulatedOptions.lazily());
        SimulatedNccl nccl = SimulatedNccl.install()) {
      gpus.callStuckAfter(Duration.ofMillis(1_500));
      LocalWorld.run(
          ranks,
          control -> {
            try (CudaDevice device = ReferenceGpuKernels.open(control.rank());
                MemoryScope scope = MemoryScope.open()) {
              MemorySegment communicator = meet(control, device);
              CudaStream stream = CudaStream.open(device.context());
              body.run(new Rank(control, device, stream, communicator, nccl));
              control.barrier();
              device.context().makeCurrent();
              int ended = Nccl.ncclCommAbort(communicator);
              assertThat(ended).isIn(0, Nccl.ncclInvalidArgument());
              if (gpus.complaints().stream().noneMatch(text -> text.startsWith("fault"))) {
                stream.close();
              }
            }
          });
      return gpus.complaints();
    }
  }

  private static MemorySegment meet(Communicator control, CudaDevice device) {
    device.context().makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment id = ncclUniqueId.allocate(arena);
      if (control.rank() == 0) {
        assertThat(Nccl.ncclGetUniqueId(id)).isZero();
      }
      long[] numbers = new long[16];
      MemorySegment.copy(id, 0, MemorySegment.ofArray(numbers), 0, 128);
      MemorySegment.copy(MemorySegment.ofArray(control.allGather(numbers)[0]), 0, id, 0, 128);
      MemorySegment pointer = arena.allocate(ADDRESS);
      int status = Nccl.ncclCommInitRank(pointer, control.size(), id, control.rank());
      assertThat(status).isZero();
      return pointer.get(ADDRESS, 0);
    }
  }

  private static NDArray ones(Rank rank, int count) {
    return NDArray.full(rank.device, DType.F32, Shape.of(count), 1);
  }

  private static void assertLost(Rank rank) {
    assertThatThrownBy(rank.stream::synchronize).isInstanceOf(CudaException.class);
  }

  // ---- order

  @Test
  void aReductionThatIsOrderedAfterItsInput_sumsIt() {
    run(
        3,
        rank -> {
          NDArray array = ones(rank, 5);
          rank.order();
          assertThat(rank.allReduce(array, 5, rank.stream)).isZero();
          rank.stream.synchronize();
          assertThat(array.toDoubles()).containsOnly(3);
        });
  }

  @Test
  void aReductionThatIsNotOrderedAfterItsInput_findsPoison() {
    List<String> faults =
        run(
            2,
            rank -> {
              NDArray earlier = ones(rank, 5);
              rank.device.synchronize();
              // The memory is there, but what fills it is not waited for.
              NDArray array = NDArray.empty(rank.device, DType.F32, 5);
              NDArray result = NDArray.empty(rank.device, DType.F32, 5);
              rank.device.synchronize();
              earlier.kernels().copy(earlier, array);
              assertThat(rank.allReduce(array, 5, rank.stream)).isZero();
              rank.stream.copy(result.address(), array.address(), 20);
              rank.stream.synchronize();
              assertThat(result.toDoubles()).containsOnly(Double.NaN);
            });
    assertThat(faults).isEmpty();
  }

  @Test
  void twoStreamsWithoutAnOrderBetweenThem_areAFault() {
    List<String> faults =
        run(
            2,
            rank -> {
              NDArray array = ones(rank, 5);
              rank.order();
              assertThat(rank.allReduce(array, 5, rank.stream)).isZero();
              // Nothing makes the device's stream wait for the other.
              assertThat(rank.allReduce(array, 5, rank.device.stream())).isZero();
              rank.control.barrier();
              assertThatThrownBy(rank.device::synchronize).isInstanceOf(CudaException.class);
            });
    assertThat(faults)
        .anySatisfy(
            fault ->
                assertThat(fault)
                    .contains("runs its launch 1 (ncclAllReduce of 5 float32 sum) before launch 0")
                    .contains("nothing orders them"));
  }

  // ---- what does not fit

  @Test
  void differentCounts_areAFaultOnBothGpus() {
    List<String> faults =
        run(
            2,
            rank -> {
              NDArray array = ones(rank, 6);
              rank.order();
              assertThat(rank.allReduce(array, 5 + rank.number(), rank.stream)).isZero();
              assertLost(rank);
            });
    assertThat(faults.stream().filter(text -> text.startsWith("fault")))
        .hasSize(2)
        .allSatisfy(
            fault ->
                assertThat(fault)
                    .contains("ranks call different collectives")
                    .contains("ncclAllReduce of 5 float32 sum by rank 0 (GPU 0)")
                    .contains("ncclAllReduce of 6 float32 sum by rank 1 (GPU 1)"));
  }

  @Test
  void messagesThatDoNotFit_areAFault() {
    List<String> faults =
        run(
            2,
            rank -> {
              NDArray array = ones(rank, 6);
              rank.order();
              rank.device.context().makeCurrent();
              MemorySegment stream = rank.stream.address();
              int status =
                  rank.number() == 0
                      ? Nccl.ncclSend(
                          at(array), 6, Nccl.ncclFloat32(), 1, rank.communicator, stream)
                      : Nccl.ncclRecv(
                          at(array), 5, Nccl.ncclFloat32(), 0, rank.communicator, stream);
              assertThat(status).isZero();
              assertLost(rank);
            });
    assertThat(faults)
        .anySatisfy(fault -> assertThat(fault).contains("two ends of a message do not fit"));
  }

  @Test
  void aPartnerThatNeverComes_isNamedInsteadOfAHang() {
    List<String> faults =
        run(
            2,
            rank -> {
              if (rank.number() == 0) {
                NDArray array = ones(rank, 5);
                rank.order();
                assertThat(rank.allReduce(array, 5, rank.stream)).isZero();
                assertThatThrownBy(rank.stream::synchronize).isInstanceOf(CudaException.class);
                rank.device.context().makeCurrent();
                assertThat(Nccl.ncclCommAbort(rank.communicator)).isZero();
                rank.stream.synchronize();
              }
            });
    assertThat(faults)
        .anySatisfy(
            fault ->
                assertThat(fault)
                    .contains("is stuck; queued work waits for a call that nobody made")
                    .contains("ncclAllReduce of 5 float32 sum by rank 0 (GPU 0)"));
  }

  @Test
  void aFirstMessageWhoseOtherEndIsNotCalled_waitsOnTheHostAndIsNamed() {
    run(
        2,
        rank -> {
          NDArray array = ones(rank, 3);
          rank.device.context().makeCurrent();
          if (rank.number() == 0) {
            MemorySegment stream = rank.stream.address();
            int status =
                Nccl.ncclSend(at(array), 3, Nccl.ncclFloat32(), 1, rank.communicator, stream);
            assertThat(status).isEqualTo(Nccl.ncclSystemError());
            assertThat(rank.nccl.complaints())
                .anySatisfy(text -> assertThat(text).contains("waits on the host to connect"));
          }
        });
  }

  // ---- groups

  @Test
  void sendsBeforeReceives_meetWithinAGroupOnly() {
    run(
        2,
        rank -> {
          NDArray own = NDArray.full(rank.device, DType.F32, Shape.of(3), rank.number());
          NDArray came = NDArray.full(rank.device, DType.F32, Shape.of(3), 9);
          rank.order();
          rank.device.context().makeCurrent();
          int peer = 1 - rank.number();
          MemorySegment stream = rank.stream.address();
          assertThat(Nccl.ncclGroupStart()).isZero();
          int sent = Nccl.ncclSend(at(own), 3, Nccl.ncclFloat32(), peer, rank.communicator, stream);
          int received =
              Nccl.ncclRecv(at(came), 3, Nccl.ncclFloat32(), peer, rank.communicator, stream);
          assertThat(sent + received).isZero();
          assertThat(Nccl.ncclGroupEnd()).isZero();
          rank.stream.synchronize();
          assertThat(came.toDoubles()).containsOnly(peer);
        });
  }

  @Test
  void aRefusedCall_makesItsGroupFailAndLaunchNothing() {
    run(
        2,
        rank -> {
          NDArray array = ones(rank, 3);
          rank.device.context().makeCurrent();
          MemorySegment stream = rank.stream.address();
          assertThat(Nccl.ncclGroupStart()).isZero();
          int wrongPeer =
              Nccl.ncclSend(at(array), 3, Nccl.ncclFloat32(), 2, rank.communicator, stream);
          assertThat(wrongPeer).isEqualTo(Nccl.ncclInvalidArgument());
          assertThat(Nccl.ncclGroupEnd()).isEqualTo(Nccl.ncclInvalidArgument());
          rank.stream.synchronize();
          assertThat(rank.nccl.complaints())
              .anySatisfy(text -> assertThat(text).contains("to rank 2").contains("2 ranks"));
          String last = Nccl.ncclGetLastError(rank.communicator).reinterpret(999).getString(0);
          assertThat(last).contains("there are 2 ranks");
        });
  }

  // ---- handles

  @Test
  void aCommunicatorThatWasAborted_isNoneAnyMore() {
    run(
        2,
        rank -> {
          NDArray array = ones(rank, 3);
          rank.device.context().makeCurrent();
          assertThat(Nccl.ncclCommAbort(rank.communicator)).isZero();
          assertThat(rank.allReduce(array, 3, rank.stream)).isEqualTo(Nccl.ncclInvalidArgument());
        });
  }

  @Test
  void split_ordersRanksByKeyWithinAColor() {
    run(
        4,
        rank -> {
          rank.device.context().makeCurrent();
          try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ADDRESS);
            int color = rank.number() == 3 ? -1 : 7;
            int status =
                Nccl.ncclCommSplit(
                    rank.communicator, color, -rank.number(), pointer, MemorySegment.NULL);
            assertThat(status).isZero();
            MemorySegment part = pointer.get(ADDRESS, 0);
            if (color < 0) {
              assertThat(part.address()).isZero();
              return;
            }
            MemorySegment answer = arena.allocate(JAVA_INT);
            assertThat(Nccl.ncclCommUserRank(part, answer)).isZero();
            assertThat(answer.get(JAVA_INT, 0)).isEqualTo(2 - rank.number());
            assertThat(Nccl.ncclCommCount(part, answer)).isZero();
            assertThat(answer.get(JAVA_INT, 0)).isEqualTo(3);
            assertThat(Nccl.ncclCommFinalize(part)).isZero();
            assertThat(Nccl.ncclCommDestroy(part)).isZero();
          }
        });
  }

  @Test
  void communicatorsThatAreLeftOver_areToldAtTheEnd() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily())) {
      SimulatedNccl nccl = SimulatedNccl.install();
      LocalWorld.run(
          1,
          control -> {
            try (CudaDevice device = ReferenceGpuKernels.open(0)) {
              assertThat(meet(control, device).address()).isNotZero();
            }
          });
      assertThatThrownBy(nccl::close).hasMessageContaining("neither destroyed nor aborted");
      assertThat(gpus.complaints()).isEmpty();
    }
  }

  // ---- arithmetic

  @Test
  void bfloat16_isSummedInFloatAndRoundedOnce() {
    run(
        3,
        rank -> {
          // 256 + 1 + 1: rounded after each step it would stay 256.
          double[] terms = {256, 1, 1};
          NDArray array = NDArray.of(rank.device, DType.BF16, Shape.of(1), terms[rank.number()]);
          rank.order();
          assertThat(rank.allReduce(array, 1, rank.stream)).isZero();
          rank.stream.synchronize();
          assertThat(array.item()).isEqualTo(258);
        });
  }

  @Test
  void maximum_losesNotANumberAsNcclDoes() {
    run(
        2,
        rank -> {
          double own = rank.number() == 0 ? Double.NaN : 4;
          NDArray array = NDArray.of(rank.device, DType.F32, Shape.of(1), own);
          rank.order();
          rank.device.context().makeCurrent();
          int status =
              Nccl.ncclAllReduce(
                  at(array),
                  at(array),
                  1,
                  Nccl.ncclFloat32(),
                  Nccl.ncclMax(),
                  rank.communicator,
                  rank.stream.address());
          assertThat(status).isZero();
          rank.stream.synchronize();
          assertThat(array.item()).isEqualTo(4);
        });
  }
}
