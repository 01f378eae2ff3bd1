package dev.heddle.simulated.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RecordedWork;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.WorkRecorder;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Work that is recorded runs, and runs again with what its inputs hold then. */
class WorkRecorderTest {
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

  /** y += x, by way of memory that is the work's own. */
  private void add(NDArray x, NDArray y) {
    try (MemoryScope inside = MemoryScope.open()) {
      NDArray copy = x.copy();
      copy.kernels().addScaled(copy, 1, y);
    }
  }

  private NDArray vector(float... values) {
    return NDArray.of(device, Shape.of(values.length), values);
  }

  @Test
  void recordedWork_runsOnceAndAgainWithNewInputs() {
    NDArray x = vector(1, 2);
    NDArray y = vector(0, 0);
    add(x, y);
    try (WorkRecorder recorder = device.record()) {
      add(x, y);
      try (RecordedWork work = recorder.finish()) {
        assertThat(y.toFloats()).as("recording is running").containsExactly(2, 4);
        x.writeDoubles(10, 20);
        CudaCounters before = device.counters();
        work.repeat();
        CudaCounters did = device.counters().since(before);
        assertThat(did.graphLaunches()).isEqualTo(1);
        assertThat(did.hostSynchronizations() + did.deviceAllocations()).isZero();
        assertThat(y.toFloats()).containsExactly(12, 24);
        assertThat(work.pieces()).isEqualTo(1);
      }
    }
  }

  @Test
  void hostActions_runAtTheirPlaceEachTime() {
    NDArray x = vector(1);
    NDArray y = vector(0);
    List<Float> seen = new ArrayList<>();
    add(x, y);
    try (WorkRecorder recorder = device.record()) {
      add(x, y);
      recorder.host(() -> seen.add(y.toFloats()[0]));
      recorder.host(() -> seen.add(-1f));
      add(x, y);
      try (RecordedWork work = recorder.finish()) {
        work.repeat();
        work.repeat();
        assertThat(seen).containsExactly(2f, -1f, 4f, -1f, 6f, -1f);
        assertThat(y.toFloats()).containsExactly(7);
        assertThat(work.pieces()).as("nothing stands between the two actions").isEqualTo(2);
      }
    }
  }

  /** The pool gives the constant's memory to the next array, so it has to come anew each time. */
  @Test
  void valuesFromTheHost_areThoseOfTheRecordingEachTime() {
    NDArray y = vector(0, 0);
    Runnable step =
        () -> {
          for (float value = 1; value <= 2; value++) {
            try (MemoryScope inside = MemoryScope.open()) {
              NDArray constant = vector(value, 10 * value);
              constant.kernels().addScaled(constant, 1, y);
            }
          }
        };
    step.run();
    try (WorkRecorder recorder = device.record()) {
      step.run();
      try (RecordedWork work = recorder.finish()) {
        work.repeat();
        work.repeat();
        assertThat(y.toFloats()).containsExactly(12, 120);
      }
    }
  }

  @Test
  void manyConstants_andMemoryThatThePoolHasNot_cutTheRecordingAndWork() {
    float[] large = new float[20_000];
    large[19_999] = 3;
    NDArray y = NDArray.zeros(device, DType.F32, 20_000);
    try (WorkRecorder recorder = device.record()) {
      try (MemoryScope inside = MemoryScope.open()) {
        NDArray constant = vector(large);
        constant.kernels().addScaled(constant, 2, y);
      }
      try (RecordedWork work = recorder.finish()) {
        work.repeat();
        assertThat(y.toFloats()[19_999]).isEqualTo(12);
      }
    }
  }

  @Test
  void recordingThatFails_leavesTheDeviceAsItWas() {
    NDArray x = vector(1);
    NDArray y = vector(0);
    add(x, y);
    assertThatThrownBy(
            () -> {
              try (WorkRecorder recorder = device.record()) {
                add(x, y);
                y.toFloats();
              }
            })
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("while a graph is captured: the host may neither wait");
    assertThatThrownBy(
            () -> {
              try (WorkRecorder recorder = device.record()) {
                recorder.host(
                    () -> {
                      throw new IllegalArgumentException("the host's own");
                    });
              }
            })
        .hasMessage("the host's own");
    add(x, y);
    assertThat(y.toFloats()).containsExactly(2);
  }

  @Test
  void misuse_isRefused() {
    try (WorkRecorder recorder = device.record()) {
      assertThatThrownBy(() -> device.record()).hasMessage("cuda:0: a recording is open already");
      RecordedWork work = recorder.finish();
      assertThatThrownBy(recorder::finish).hasMessage("CudaRecorder: used after its end");
      work.close();
      assertThatThrownBy(work::repeat).hasMessage("recorded work of cuda:0: used after close");
    }
  }
}
