package dev.heddle.simulated.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaDriver;
import dev.heddle.runtime.cuda.CudaException;
import dev.heddle.runtime.cuda.PageLockedMemory;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CudaDeviceTest {
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void valuesTravelToTheDeviceAndBack_withoutPageableCopies(boolean lazy) {
    SimulatedOptions options = SimulatedOptions.lazily().withLazy(lazy);
    try (SimulatedGpus gpus = SimulatedGpus.install(1, options);
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray floats = NDArray.of(device, Shape.of(2, 3), 1f, 2f, 3f, 4f, 5f, 6f);
      NDArray longs = NDArray.of(device, Shape.of(2), Long.MIN_VALUE, 7L);
      NDArray halves = NDArray.of(device, DType.BF16, Shape.of(3), 0.5, -2, 1e30);
      NDArray none = NDArray.empty(device, DType.F32, 0);

      assertThat(floats.toFloats()).containsExactly(1, 2, 3, 4, 5, 6);
      assertThat(longs.toLongs()).containsExactly(Long.MIN_VALUE, 7);
      assertThat(halves.slice(0, 1, 2).item()).isEqualTo(-2);
      assertThat(none.toDoubles()).isEmpty();
      assertThat(floats.slice(0, 1, 2).toDoubles()).containsExactly(4, 5, 6);
      assertThat(gpus.counters().pageableCopies()).isZero();
      assertThat(gpus.counters().bytesToDevice()).isEqualTo(24 + 16 + 6);
    }
  }

  @Test
  void pageLockedMemory_holdsZeros_untilItsArenaCloses() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily())) {
      MemorySegment memory;
      try (Arena life = Arena.ofConfined()) {
        memory = PageLockedMemory.allocate(0, 96, life);
        assertThat(memory.toArray(ValueLayout.JAVA_LONG)).hasSize(12).containsOnly(0);
        memory.set(ValueLayout.JAVA_LONG, 88, 7);
        assertThat(PageLockedMemory.allocate(0, 0, life).byteSize()).isZero();
      }
      assertThatThrownBy(() -> memory.get(ValueLayout.JAVA_LONG, 88))
          .isInstanceOf(IllegalStateException.class);
      // Closing the simulation complains of what was not given back.
      assertThat(gpus.complaints()).isEmpty();
    }
  }

  @Test
  void onlyReadingAValueWaits() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      CudaCounters before = device.counters();
      NDArray x = NDArray.of(device, Shape.of(4), 1f, 2f, 3f, 4f);
      device.stream().copy(x.address(), x.address() + 8, 8);
      assertThat(device.counters().since(before).hostSynchronizations()).isZero();
      assertThat(gpus.counters().synchronizations()).isZero();
      assertThat(gpus.counters().bytesToDevice()).as("run, not only queued").isZero();

      assertThat(x.toFloats()).containsExactly(3, 4, 3, 4);
      CudaCounters after = device.counters().since(before);
      assertThat(after.hostSynchronizations()).isEqualTo(1);
      assertThat(after.bytesToDevice()).isEqualTo(16);
      assertThat(after.bytesToHost()).isEqualTo(16);
      assertThat(after.bytesOnDevice()).isEqualTo(8);
      assertThat(after.deviceAllocations()).isEqualTo(1);
    }
  }

  @Test
  void arraysLargerThanTheStagingRing_arriveWhole() {
    float[] values = new float[6 << 20];
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, Shape.of(values.length), values);
      assertThat(x.toFloats()).isEqualTo(values);
      assertThat(gpus.counters().pageableCopies()).isZero();
    }
  }

  @Test
  void theHostCannotTouchDeviceMemoryByMistake() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, Shape.of(1), 1f);
      assertThat(x.segment().byteSize()).isZero();
      assertThatThrownBy(() -> DType.F32.read(x.segment(), 0))
          .isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> device.copyToHost(x.block(), 60, MemorySegment.ofArray(new byte[8])))
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessageContaining("8 bytes from byte 60 do not lie within a block of 64 bytes");
    }
  }

  @Test
  void deviceTellsWhatItIs() {
    SimulatedOptions options =
        SimulatedOptions.lazily().withComputeCapability(75).withMemoryBytes(64 << 20);
    try (SimulatedGpus gpus = SimulatedGpus.install(2, options);
        CudaDevice device = CudaDevice.open(1)) {
      assertThat(CudaDevice.count()).isEqualTo(2);
      assertThat(device.name()).isEqualTo("cuda:1");
      assertThat(device).hasToString("cuda:1 (Simulated GPU, compute capability 7.5)");
      assertThat(device.properties().totalBytes()).isEqualTo(64 << 20);
      assertThat(CudaDriver.versionText(CudaDriver.version())).isEqualTo("13.0");
    }
  }

  @Test
  void closeGivesEverythingBack_andLaterUseIsRefused() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily())) {
      CudaDevice device = CudaDevice.open(0);
      try (MemoryScope scope = MemoryScope.open()) {
        NDArray.of(device, Shape.of(1000), new float[1000]);
        assertThat(gpus.allocatedBytes(0)).isPositive();
      }
      device.close();
      device.close();
      assertThat(gpus.allocatedBytes(0)).isZero();
      assertThatThrownBy(device::synchronize)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("cuda:0 is used after it was closed");
      // gpus.close() fails if anything was not given back.
    }
  }

  @Test
  void simulatedDriverNoticesWhatIsNotGivenBack() {
    SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
    CudaDevice device = CudaDevice.open(0);
    Probe.allocate(device.context(), 100);
    device.close();
    assertThatThrownBy(gpus::close)
        .hasMessageContaining("100 bytes at 0x7")
        .hasMessageContaining("outlived the context");
  }

  @Test
  void withoutMemoryPools_memoryComesFromCuMemAlloc() {
    SimulatedOptions options = SimulatedOptions.lazily().withMemoryPools(false);
    try (SimulatedGpus gpus = SimulatedGpus.install(1, options);
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      assertThat(NDArray.of(device, Shape.of(1), 3f).item()).isEqualTo(3);
      assertThat(gpus.complaints()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void outOfMemory_hasTheFiguresAndSaysWhatToDo(boolean pools) {
    SimulatedOptions options =
        SimulatedOptions.lazily().withMemoryBytes(1 << 20).withMemoryPools(pools);
    try (SimulatedGpus gpus = SimulatedGpus.install(1, options);
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray.empty(device, DType.U8, 512 << 10);
      assertThatThrownBy(() -> NDArray.empty(device, DType.U8, 768 << 10))
          .isInstanceOfSatisfying(
              CudaException.class,
              thrown -> assertThat(thrown.errorName()).isEqualTo("CUDA_ERROR_OUT_OF_MEMORY"))
          .hasMessageContaining(pools ? "cuMemAllocFromPoolAsync(bytes=786432" : "cuMemAlloc(bytes")
          .hasMessageContaining("cuda:0 has 524,288 bytes free")
          .hasMessageContaining("this device holds 524,288 bytes, 524,288 of them in use")
          .hasMessageContaining("smaller microbatches");
      assertThat(NDArray.of(device, Shape.of(1), 3f).item()).as("not a sticky error").isEqualTo(3);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void memoryThatWaitsForReuseInOtherSizes_isGivenBackBeforeThereIsNone(boolean pools) {
    SimulatedOptions options =
        SimulatedOptions.lazily().withMemoryBytes(1 << 20).withMemoryPools(pools);
    try (SimulatedGpus gpus = SimulatedGpus.install(1, options);
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray kept = NDArray.of(device, Shape.of(1), 3f);
      for (int kibibytes : new int[] {512, 768, 640, 896}) {
        try (MemoryScope step = MemoryScope.open()) {
          NDArray x = NDArray.empty(device, DType.U8, kibibytes << 10);
          device.stream().fill8(x.address(), (byte) 1, x.size());
        }
      }
      assertThat(kept.item()).isEqualTo(3);
      assertThat(device.memory().reservedBytes()).isEqualTo((896 << 10) + 64);
      assertThat(gpus.allocatedBytes(0)).isEqualTo((896 << 10) + 64);
    }
  }

  @Test
  void wrongOrdinal_namesHowManyThereAre() {
    try (SimulatedGpus gpus = SimulatedGpus.install(2, SimulatedOptions.lazily())) {
      assertThatThrownBy(() -> CudaDevice.open(2))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("cuda:2: the driver shows 2 GPU(s)");
    }
  }

  @Test
  void noGpu_saysWhereToLook() {
    try (SimulatedGpus gpus = SimulatedGpus.install(0, SimulatedOptions.lazily())) {
      assertThat(CudaDevice.count()).isZero();
      assertThatThrownBy(() -> CudaDevice.open(0))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("cuInit(): CUDA_ERROR_NO_DEVICE (100)")
          .hasMessageContaining("CUDA_VISIBLE_DEVICES");
    }
  }

  @Test
  void oldDriver_isRefusedWithTheVersionWanted() {
    SimulatedOptions options = SimulatedOptions.lazily().withDriverVersion(11_080);
    try (SimulatedGpus gpus = SimulatedGpus.install(1, options)) {
      assertThatThrownBy(() -> CudaDevice.open(0))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("speaks CUDA 11.8, wanted 12.0 or newer");
    }
  }

  @Test
  void devicesOfOneGpu_shareItsContextAndNothingElse() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice one = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(one, Shape.of(1), 3f);
      try (CudaDevice two = CudaDevice.open(0);
          MemoryScope inner = MemoryScope.open()) {
        assertThat(two.context().address()).isEqualTo(one.context().address());
        assertThat(NDArray.of(two, Shape.of(1), 4f).item()).isEqualTo(4);
      }
      assertThat(x.item()).isEqualTo(3);
    }
  }

  @Test
  void severalThreads_useAGpuEach() throws Exception {
    int count = 4;
    try (SimulatedGpus gpus = SimulatedGpus.install(count, SimulatedOptions.lazily())) {
      double[] read = new double[count];
      Thread[] threads =
          IntStream.range(0, count)
              .mapToObj(
                  i ->
                      Thread.ofPlatform()
                          .start(
                              () -> {
                                try (CudaDevice device = CudaDevice.open(i);
                                    MemoryScope scope = MemoryScope.open()) {
                                  NDArray x = NDArray.of(device, Shape.of(2), i, i + 0.5f);
                                  for (int j = 0; j < 50; j++) {
                                    x.writeDoubles(i, x.toDoubles()[1] + 1);
                                  }
                                  read[i] = x.toDoubles()[1];
                                }
                              }))
              .toArray(Thread[]::new);
      for (Thread thread : threads) {
        thread.join();
      }
      assertThat(read).containsExactly(50.5, 51.5, 52.5, 53.5);
      assertThat(gpus.complaints()).isEmpty();
    }
  }

  @Test
  void oneThread_usesSeveralGpusByTurns() {
    try (SimulatedGpus gpus = SimulatedGpus.install(2, SimulatedOptions.lazily());
        CudaDevice zero = CudaDevice.open(0);
        CudaDevice one = CudaDevice.open(1);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(zero, Shape.of(1), 1f);
      NDArray y = NDArray.of(one, Shape.of(1), 2f);
      assertThat(x.item() + 10 * y.item()).isEqualTo(21);
      assertThat(gpus.complaints()).isEmpty();
    }
  }
}
