package dev.heddle.runtime.conformance;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/**
 * The suite that a backend passes to be one. Extend it for each backend and dtype:
 *
 * <pre>{@code
 * class VectorKernelsF32Test extends KernelConformance {
 *   @Override public DType dtype() { return DType.F32; }
 *   @Override protected Device open(int threads) {
 *     return CpuDevice.open("cpu", threads, CpuBackend.VECTOR);
 *   }
 * }
 * }</pre>
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class KernelConformance
    implements MovementConformance,
        ElementwiseConformance,
        ProductConformance,
        RowConformance,
        AttentionConformance,
        UpdateConformance,
        MisuseConformance {
  private Device one;
  private Device two;
  private Device control;

  /** A device whose table for {@link #dtype()} is under test; the suite closes it. */
  protected abstract Device open(int threads);

  /**
   * The largest difference from the control, relative to the element plus the root mean square of
   * its array.
   */
  protected double tolerance() {
    return switch (dtype()) {
      case F64 -> 1e-13;
      case F32 -> 1e-5;
      default -> 0x1p-6;
    };
  }

  @BeforeAll
  final void openDevices() {
    one = open(1);
    two = open(2);
    control = CpuDevice.open("control", 1, CpuBackend.REFERENCE);
  }

  /** Closing fails if a kernel leaked memory. */
  @AfterAll
  final void closeDevices() {
    one.close();
    two.close();
    control.close();
  }

  @Override
  public final Device subject() {
    return one;
  }

  @Override
  public final KernelCase kernelCase(String description) {
    return new KernelCase(List.of(one, two), control, dtype(), tolerance(), description);
  }
}
