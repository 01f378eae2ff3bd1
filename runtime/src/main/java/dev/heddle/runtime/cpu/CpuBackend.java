package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import java.util.Arrays;

/** Which implementation of the kernel table a {@link CpuDevice} uses. */
public enum CpuBackend {
  /** The fastest that this JVM and machine have. */
  BEST,
  /** {@link ReferenceKernels} for every type: slow and obvious, for checking. */
  REFERENCE;

  /** The tables by {@link DType#ordinal()}. */
  Kernels[] tables(WorkerPool workers) {
    Kernels[] tables = new Kernels[DType.values().length];
    Arrays.fill(tables, new ReferenceKernels());
    return tables;
  }
}
