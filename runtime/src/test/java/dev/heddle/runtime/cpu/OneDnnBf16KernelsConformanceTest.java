package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;

/** The kernels for bf16 with oneDNN's products, which run where no machine code does. */
class OneDnnBf16KernelsConformanceTest extends KernelConformance {
  @Override
  public DType dtype() {
    return DType.BF16;
  }

  @Override
  protected Device open(int threads) {
    return CpuDevice.open("onednn-bf16-" + threads, threads, CpuBackend.ONEDNN);
  }
}
