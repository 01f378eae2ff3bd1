package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;

/** The kernels with oneDNN's products, which run where no machine code does, against F64. */
class OneDnnKernelsConformanceTest extends KernelConformance {
  @Override
  public DType dtype() {
    return DType.F32;
  }

  @Override
  protected Device open(int threads) {
    return CpuDevice.open("onednn-" + threads, threads, CpuBackend.ONEDNN);
  }
}
