package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;

/** The default kernels for bf16 against the reference in F64. */
class Bf16KernelsConformanceTest extends KernelConformance {
  @Override
  public DType dtype() {
    return DType.BF16;
  }

  @Override
  protected Device open(int threads) {
    return CpuDevice.open("bf16-" + threads, threads, CpuBackend.BEST);
  }
}
