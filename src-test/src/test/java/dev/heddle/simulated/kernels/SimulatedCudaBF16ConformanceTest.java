package dev.heddle.simulated.kernels;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * The suite unchanged in BF16 on simulated GPUs with tensor cores: in ordinary order on one and in
 * reversed order on the other; their results have the same bits.
 */
class SimulatedCudaBF16ConformanceTest extends KernelConformance {
  @RegisterExtension
  static final SimulatedCuda CUDA =
      new SimulatedCuda(
          SimulatedOptions.eagerly(),
          SimulatedCuda.order(Launch.Order.ORDINARY, false),
          SimulatedCuda.order(Launch.Order.REVERSED, false));

  @Override
  public DType dtype() {
    return DType.BF16;
  }

  @Override
  protected Device open(int threads) {
    return CudaDevice.open(threads - 1);
  }
}
