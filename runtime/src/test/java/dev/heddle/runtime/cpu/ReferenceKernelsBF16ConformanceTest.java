package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;

/** The reference kernels in BF16 against themselves in F64. */
class ReferenceKernelsBF16ConformanceTest extends KernelConformance {
  @Override
  public DType dtype() {
    return DType.BF16;
  }

  @Override
  protected Device open(int threads) {
    return CpuDevice.open("reference-" + threads, threads, CpuBackend.REFERENCE);
  }
}
