package dev.heddle.simulated.kernels;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.conformance.KernelConformance;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * The suite in BF16 on simulated GPUs of compute capability 7.5, without tensor cores, whose
 * streams run work only when it is waited for: what a missing wait or a reused block would spoil.
 */
class SimulatedCudaLazyConformanceTest extends KernelConformance {
  @RegisterExtension
  static final SimulatedCuda CUDA =
      new SimulatedCuda(
          SimulatedOptions.lazily().withComputeCapability(75),
          SimulatedCuda.order(Launch.Order.RANDOM, false),
          SimulatedCuda.order(Launch.Order.REVERSED, true));

  @Override
  public DType dtype() {
    return DType.BF16;
  }

  @Override
  protected Device open(int threads) {
    return CudaDevice.open(threads - 1);
  }

  /** The GPU finds the row when it runs; the host is told when it next waits. */
  @Override
  @Test
  public void misuse_rowOutOfRange_isNamed() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.zeros(subject(), dtype(), 4, 3);
      NDArray y = NDArray.zeros(subject(), dtype(), 3, 3);
      kernels().gatherRows(x, NDArray.of(subject(), Shape.of(3), 0L, 9L, 1L), y);
      assertThatThrownBy(subject()::synchronize)
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "gatherRows: rows[1] is 9, but x has 4 rows; wanted a row below that, or a negative"
                  + " one to skip it");
      kernels().scatterAddRows(y, NDArray.of(subject(), Shape.of(3), 0L, 1L, 4L), x);
      assertThatThrownBy(x::toDoubles)
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "scatterAddRows: rows[2] is 4, but y has 4 rows; wanted a row below that, or a"
                  + " negative one to skip it");
      NDArray local = NDArray.of(subject(), Shape.of(3), 0L, 0L, 0L);
      kernels().localRows(NDArray.of(subject(), Shape.of(3), 0L, 5L, 6L), 0, 4, 6, local);
      assertThatThrownBy(local::toLongs)
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "localRows: row id 6 at 2; wanted less than 6, the rows of all parts, or a negative one"
                  + " to skip it");
      NDArray sums = NDArray.zeros(subject(), dtype().accumulation(), 3);
      NDArray logits = NDArray.zeros(subject(), dtype().accumulation(), 3);
      NDArray targets = NDArray.of(subject(), Shape.of(3), 7L, -1L, 8L);
      kernels().crossEntropy(y, targets, 0, 8, sums, logits);
      assertThatThrownBy(logits::toDoubles)
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "crossEntropy: target 8 of row 2; wanted less than 8, the classes in all, or a"
                  + " negative one to ignore the row");
      subject().synchronize();
    }
  }
}
