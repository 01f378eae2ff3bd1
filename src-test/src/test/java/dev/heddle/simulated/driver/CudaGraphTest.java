package dev.heddle.simulated.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaContext;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.cuda.CudaDriver;
import dev.heddle.runtime.cuda.CudaEvent;
import dev.heddle.runtime.cuda.CudaException;
import dev.heddle.runtime.cuda.CudaGraph;
import dev.heddle.runtime.cuda.CudaStream;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class CudaGraphTest {
  private SimulatedGpus gpus;
  private CudaDevice device;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
    device = CudaDevice.open(0);
    scope = MemoryScope.open();
  }

  @AfterEach
  void close() {
    try (SimulatedGpus ends = gpus;
        CudaDevice endsFirst = device) {
      scope.close();
    }
  }

  /** y = x by way of an intermediate of the pool. */
  private void copyThroughScratch(NDArray x, NDArray y) {
    try (MemoryScope temporaries = MemoryScope.open()) {
      NDArray scratch = NDArray.empty(device, DType.F32, x.shape());
      device.stream().fill32(scratch.address(), 0, x.size());
      device.stream().copy(scratch.address(), x.address(), 4 * x.size());
      device.stream().copy(y.address(), scratch.address(), 4 * x.size());
    }
  }

  @Test
  void launch_doesWhatTheWorkDid_withTheValuesOfThen() {
    NDArray x = NDArray.of(device, Shape.of(2), 1f, 2f);
    NDArray y = NDArray.empty(device, DType.F32, 2);
    copyThroughScratch(x, y);
    try (CudaGraph graph = device.capture(() -> copyThroughScratch(x, y))) {
      device.stream().fill32(y.address(), 0, 2);
      assertThat(y.toFloats()).as("recorded, not run").containsExactly(0, 0);
      graph.launch();
      assertThat(y.toFloats()).containsExactly(1, 2);
      x.writeDoubles(3, 4);
      graph.launch();
      x.writeDoubles(5, 6);
      assertThat(y.toFloats()).containsExactly(3, 4);
      graph.launch();
      assertThat(y.toFloats()).containsExactly(5, 6);
    }
    assertThat(gpus.counters().graphLaunches()).isEqualTo(3);
  }

  @Test
  void launch_allocatesNothingAndDoesNotWait() {
    NDArray x = NDArray.of(device, Shape.of(2), 1f, 2f);
    NDArray y = NDArray.empty(device, DType.F32, 2);
    copyThroughScratch(x, y);
    try (CudaGraph graph = device.capture(() -> copyThroughScratch(x, y))) {
      CudaCounters before = device.counters();
      for (int i = 0; i < 10; i++) {
        graph.launch();
      }
      assertThat(device.counters().since(before))
          .isEqualTo(new CudaCounters(0, 10, 0, 0, 0, 0, 0, 0));
    }
  }

  @Test
  void memoryOfTheRecordedWork_isNobodyElsesUntilTheGraphIsClosed() {
    NDArray x = NDArray.of(device, Shape.of(2), 1f, 2f);
    NDArray y = NDArray.empty(device, DType.F32, 2);
    copyThroughScratch(x, y);
    try (CudaGraph graph = device.capture(() -> copyThroughScratch(x, y))) {
      NDArray other = NDArray.of(device, Shape.of(2), 7f, 8f);
      graph.launch();
      assertThat(other.toFloats()).containsExactly(7, 8);
    }
    long before = device.memory().systemAllocations();
    NDArray.empty(device, DType.F32, 2);
    assertThat(device.memory().systemAllocations())
        .as("the scratch is free again")
        .isEqualTo(before);
  }

  @Test
  void resultsMadeWithinTheRecordedWork_stayTheGraphsToo() {
    try (MemoryScope warmUp = MemoryScope.open()) {
      NDArray.empty(device, DType.F32, 100);
    }
    NDArray[] made = new NDArray[1];
    long address;
    try (MemoryScope step = MemoryScope.open();
        CudaGraph graph =
            device.capture(
                () -> {
                  made[0] = NDArray.empty(device, DType.F32, 100);
                  device.stream().fill32(made[0].address(), 0, 100);
                })) {
      address = made[0].address();
      step.clear();
      assertThat(NDArray.empty(device, DType.F32, 100).address()).isNotEqualTo(address);
      graph.launch();
      device.synchronize();
    }
    long[] next = {
      NDArray.empty(device, DType.F32, 100).address(),
      NDArray.empty(device, DType.F32, 100).address()
    };
    assertThat(next).as("free again").contains(address);
  }

  @Test
  void replayOfFreedMemory_isAFault() {
    // Below CudaDevice: its pool would keep the memory.
    CudaContext context = device.context();
    CudaStream stream = device.stream();
    long x = Probe.allocate(context, 4);
    try (CudaGraph graph = device.capture(() -> stream.fill32(x, 0, 1))) {
      graph.launch();
      Probe.free(context, x);
      graph.launch();
      assertThatThrownBy(device::synchronize)
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("in an allocation that was freed");
    } catch (CudaException lost) {
      assertThat(lost).hasMessageContaining("cuGraphExecDestroy");
    }
  }

  @Test
  void update_takesNewArguments_orBuildsAnew() {
    NDArray x = NDArray.of(device, Shape.of(2), 1f, 2f);
    NDArray y = NDArray.of(device, Shape.of(2), 3f, 4f);
    NDArray z = NDArray.empty(device, DType.F32, 2);
    copyThroughScratch(x, z);
    try (CudaGraph graph = device.capture(() -> copyThroughScratch(x, z))) {
      graph.launch();
      assertThat(graph.update(() -> copyThroughScratch(y, z))).isTrue();
      graph.launch();
      assertThat(z.toFloats()).containsExactly(3, 4);
      assertThat(graph.update(() -> device.stream().fill32(z.address(), 0, 2))).isFalse();
      graph.launch();
      assertThat(z.toFloats()).containsExactly(0, 0);
    }
  }

  @Test
  void whatCannotBeRecorded_isRefusedWithTheWayOut() {
    NDArray x = NDArray.of(device, Shape.of(1), 1f);
    assertThatThrownBy(() -> device.capture(x::item))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("a copy of 4 bytes to the host on cuda:0 while a graph is captured")
        .hasMessageContaining("run the step once before capturing it");
    assertThatThrownBy(() -> device.capture(() -> x.writeDoubles(2)))
        .hasMessageContaining("a copy of 4 bytes from the host on cuda:0");
    assertThatThrownBy(() -> device.capture(() -> NDArray.empty(device, DType.F32, 1000)))
        .hasMessageContaining("an allocation of 4096 bytes on cuda:0");
    assertThatThrownBy(() -> device.capture(device::synchronize))
        .hasMessageContaining("CudaStream.synchronize on cuda:0");
    assertThat(x.item()).as("the device goes on").isEqualTo(1);
    assertThat(gpus.complaints()).as("none of them reached the driver").isEmpty();
  }

  @Test
  void closedGraph_isNotLaunched() {
    CudaGraph graph = device.capture(() -> {});
    graph.close();
    graph.close();
    assertThatThrownBy(graph::launch).hasMessageContaining("used after close");
  }

  @Test
  void simulatedDriver_endsACaptureThatWasWaitedIn() {
    CudaStream stream = device.stream();
    assertThat(Cuda.cuStreamBeginCapture_v2(stream.address(), 1)).isZero();
    assertThat(Cuda.cuStreamSynchronize(stream.address())).isEqualTo(900);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment graph = arena.allocate(ValueLayout.ADDRESS);
      assertThat(Cuda.cuStreamEndCapture(stream.address(), graph)).isEqualTo(901);
      assertThat(graph.get(ValueLayout.JAVA_LONG, 0)).isZero();
    }
  }

  @Test
  void simulatedDriver_recordsStreamsThatJoin_andWantsThemBack() {
    NDArray x = NDArray.of(device, Shape.of(1), 1f);
    CudaContext context = device.context();
    CudaStream stream = device.stream();
    try (CudaStream other = CudaStream.open(context);
        CudaEvent fork = CudaEvent.open(context);
        CudaEvent join = CudaEvent.open(context)) {
      Runnable branch =
          () -> {
            stream.record(fork);
            other.waitFor(fork);
            other.fill32(x.address(), 0, 1);
          };
      assertThatThrownBy(() -> device.capture(branch))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("CUDA_ERROR_STREAM_CAPTURE_UNJOINED");
      try (CudaGraph graph =
          device.capture(
              () -> {
                branch.run();
                other.record(join);
                stream.waitFor(join);
              })) {
        assertThat(x.item()).isEqualTo(1);
        graph.launch();
        assertThat(x.item()).isEqualTo(0);
      }
      CudaDriver.check(Cuda.cuStreamQuery(other.address()), "cuStreamQuery");
    }
  }
}
