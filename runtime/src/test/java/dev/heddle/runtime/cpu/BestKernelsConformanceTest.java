package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;

/** The default kernels, by machine code where it runs, against the reference in F64. */
class BestKernelsConformanceTest extends KernelConformance {
  @Override
  public DType dtype() {
    return DType.F32;
  }

  @Override
  protected Device open(int threads) {
    return CpuDevice.open("best-" + threads, threads, CpuBackend.BEST);
  }
}
