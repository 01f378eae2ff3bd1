package dev.heddle.parallel.component;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import org.junit.jupiter.api.Test;

/** Which steps are run, recorded and repeated. */
class StepRecorderTest {
  private int runs;

  /** y += 1 on the device, counting how often the host walks through it. */
  private Runnable step(NDArray one, NDArray y) {
    return () -> {
      runs++;
      one.kernels().addScaled(one, 1, y);
    };
  }

  @Test
  void shape_isRunThenRecordedThenRepeated_andFewRecordingsAreKept() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open();
        StepRecorder recorder = new StepRecorder(device)) {
      NDArray one = NDArray.of(device, Shape.of(1), 1f);
      NDArray y = NDArray.of(device, Shape.of(1), 0f);
      Runnable step = step(one, y);
      for (int i = 0; i < 5; i++) {
        recorder.run("a", step);
      }
      assertThat(runs).isEqualTo(2);
      assertThat(recorder.repetitions()).isEqualTo(3);
      assertThat(recorder.pieces()).isEqualTo(1);
      for (String shape : new String[] {"b", "c", "d", "e"}) {
        recorder.run(shape, step);
        recorder.run(shape, step);
      }
      assertThat(recorder.recordings()).isEqualTo(4);
      runs = 0;
      recorder.run("b", step);
      assertThat(runs).as("kept").isZero();
      recorder.run("a", step);
      assertThat(runs).as("dropped, so recorded anew").isEqualTo(1);
      recorder.run("f", step);
      assertThat(recorder.recordings()).as("a shape met once").isEqualTo(4);
      assertThat(y.toFloats()).containsExactly(16);
    }
  }

  @Test
  void numbersOfTheHost_cannotBeCommunicatedInARecording() {
    LocalWorld.run(
        1,
        world -> {
          try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
              CudaDevice device = CudaDevice.open(0);
              StepRecorder recorder = new StepRecorder(device)) {
            Communicator recording = recorder.communicator(world);
            Runnable step = () -> recording.allReduce(1L, ReduceOp.SUM);
            recorder.run("a", step);
            assertThatThrownBy(() -> recorder.run("a", step))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("all-reduce of a number in group world while a step is")
                .hasMessageContaining("without --graph");
            recording.barrier();
          }
        });
  }

  @Test
  void processor_doesNotRecord() {
    try (CpuDevice device = CpuDevice.open("cpu:0", 1, CpuBackend.REFERENCE)) {
      assertThatThrownBy(() -> new StepRecorder(device))
          .hasMessage("step recorder: cpu:0 does not record its work; wanted a CUDA device");
    }
  }
}
