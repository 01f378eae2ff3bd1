package dev.heddle.runtime.conformance;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import org.junit.jupiter.api.Test;

/**
 * The suite on the first GPU that the driver shows. Its classes are not named as tests, so that a
 * build without a GPU passes them by: {@code jmh/check-gpu} runs them.
 *
 * <p>The two devices of a case are two streams of one GPU, whose results have the same bits.
 */
public abstract class GpuConformance extends KernelConformance {
  /** In F32. */
  public static final class F32 extends GpuConformance {
    @Override
    public DType dtype() {
      return DType.F32;
    }
  }

  /** In BF16. */
  public static final class BF16 extends GpuConformance {
    @Override
    public DType dtype() {
      return DType.BF16;
    }
  }

  /** In F64. */
  public static final class F64 extends GpuConformance {
    @Override
    public DType dtype() {
      return DType.F64;
    }
  }

  @Override
  protected final Device open(int threads) {
    return CudaDevice.open(0);
  }

  /** The GPU finds the row when it runs; the host is told then or when it next waits. */
  @Override
  @Test
  public void misuse_rowOutOfRange_isNamed() {
    try (MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.zeros(subject(), dtype(), 4, 3);
      NDArray y = NDArray.zeros(subject(), dtype(), 3, 3);
      NDArray beyond = NDArray.of(subject(), Shape.of(3), 0L, 9L, 1L);
      assertThatThrownBy(
              () -> {
                kernels().gatherRows(x, beyond, y);
                subject().synchronize();
              })
          .isInstanceOf(IndexOutOfBoundsException.class)
          .hasMessage(
              "gatherRows: rows[1] is 9, but x has 4 rows; wanted a row below that, or a negative"
                  + " one to skip it");
    }
  }
}
