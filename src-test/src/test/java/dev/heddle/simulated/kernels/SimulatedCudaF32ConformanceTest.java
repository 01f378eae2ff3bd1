package dev.heddle.simulated.kernels;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;
import dev.heddle.runtime.cuda.CudaDevice;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.simt.Launch;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * The suite unchanged in F32 on simulated GPUs: in ordinary order on one and at random, watched for
 * races in global memory too, on the other; their results have the same bits.
 */
class SimulatedCudaF32ConformanceTest extends KernelConformance {
  @RegisterExtension
  static final SimulatedCuda CUDA =
      new SimulatedCuda(
          SimulatedOptions.eagerly(),
          SimulatedCuda.order(Launch.Order.ORDINARY, false),
          SimulatedCuda.order(Launch.Order.RANDOM, true));

  @Override
  public DType dtype() {
    return DType.F32;
  }

  @Override
  protected Device open(int threads) {
    return CudaDevice.open(threads - 1);
  }
}
