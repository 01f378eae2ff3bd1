package dev.heddle.runtime.cuda;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;

/** Makes the kernel tables of a {@link CudaDevice}, each when it is first asked for. */
@FunctionalInterface
interface CudaKernelFactory {
  /**
   * The table for {@code dtype}.
   *
   * @throws IllegalArgumentException if there is none, naming the types that have one
   */
  Kernels open(CudaDevice device, DType dtype);
}
