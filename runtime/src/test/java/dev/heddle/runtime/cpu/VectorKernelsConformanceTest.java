package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.conformance.KernelConformance;

/** The Vector API kernels, no natives, against the reference kernels in F64. */
class VectorKernelsConformanceTest extends KernelConformance {
  @Override
  public DType dtype() {
    return DType.F32;
  }

  @Override
  protected Device open(int threads) {
    return CpuDevice.open("vector-" + threads, threads, CpuBackend.VECTOR);
  }
}
