package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The ring of host memory, made small, on simulated GPUs that read it as late as they may. */
class PinnedStagingTest {
  private static final int PART = 256;

  private static CudaDevice device() {
    return CudaDevice.open(0, PART, PinnedStagingTest::none);
  }

  private static Kernels none(CudaDevice device, DType dtype) {
    throw new IllegalArgumentException("no kernels");
  }

  @Test
  void manySmallValues_areNotOverwrittenBeforeTheyAreRead() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      List<NDArray> arrays = new ArrayList<>();
      for (int i = 0; i < 100; i++) {
        arrays.add(NDArray.of(device, Shape.of(3), i, i + 0.25f, i + 0.5f));
      }
      for (int i = 0; i < 100; i++) {
        assertThat(arrays.get(i).toFloats()).containsExactly(i, i + 0.25f, i + 0.5f);
      }
      assertThat(gpus.counters().pageableCopies()).isZero();
    }
  }

  @Test
  void hostWaitsOnlyWhenItIsAWholeRingAhead() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      CudaCounters before = device.counters();
      NDArray x = NDArray.empty(device, DType.U8, PART);
      double[] values = new double[PART];
      for (int i = 0; i < 4; i++) {
        x.writeDoubles(values);
      }
      assertThat(device.counters().since(before).hostSynchronizations()).isZero();
      assertThat(gpus.counters().bytesToDevice()).isZero();
      x.writeDoubles(values);
      assertThat(device.counters().since(before).hostSynchronizations()).isEqualTo(1);
      assertThat(gpus.counters().bytesToDevice()).isEqualTo(PART);
    }
  }

  @Test
  void copiesOfAllSizes_thereAndBack() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      for (int size : new int[] {1, 63, 64, 65, 255, 256, 257, 511, 512, 513, 1024, 1025, 5000}) {
        double[] values = new double[size];
        for (int i = 0; i < size; i++) {
          values[i] = (i * 31 + size) & 0xff;
        }
        NDArray x = NDArray.of(device, DType.U8, Shape.of(size), values);
        assertThat(x.toDoubles()).as("%d bytes", size).isEqualTo(values);
      }
      assertThat(gpus.complaints()).isEmpty();
    }
  }

  @Test
  void readingBackIsPipelined_andWaitsOncePerPart() {
    try (SimulatedGpus gpus = SimulatedGpus.install(1, SimulatedOptions.lazily());
        CudaDevice device = device();
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, DType.U8, Shape.of(3 * PART), new double[3 * PART]);
      device.synchronize();
      CudaCounters before = device.counters();
      x.toDoubles();
      assertThat(device.counters().since(before).hostSynchronizations()).isEqualTo(3);
    }
  }
}
