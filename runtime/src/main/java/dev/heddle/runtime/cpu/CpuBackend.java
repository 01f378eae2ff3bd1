package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.memory.MemoryPool;
import java.util.Arrays;

/** Which implementation of the kernel table a {@link CpuDevice} uses. */
public enum CpuBackend {
  /** The fastest that this JVM and machine have. */
  BEST,
  /** The Vector API, no natives. */
  VECTOR,
  /** {@link ReferenceKernels} for every type: slow and obvious, for checking. */
  REFERENCE;

  /** The tables by {@link DType#ordinal()}. */
  Kernels[] tables(WorkerPool workers, MemoryPool memory) {
    Kernels[] tables = new Kernels[DType.values().length];
    Arrays.fill(tables, new ReferenceKernels());
    if (this != REFERENCE) {
      tables[DType.F32.ordinal()] =
          new VectorKernels(workers, memory, new PackedMultiply(workers, memory));
    }
    return tables;
  }
}
