package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;

/** The reference kernels in F32 against themselves in F64. */
class ReferenceKernelsF32ConformanceTest extends KernelConformance {
  @Override
  public DType dtype() {
    return DType.F32;
  }

  @Override
  protected Device open(int threads) {
    return CpuDevice.open("reference-" + threads, threads, CpuBackend.REFERENCE);
  }
}
