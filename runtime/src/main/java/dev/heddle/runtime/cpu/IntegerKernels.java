package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.KernelChecks;
import dev.heddle.runtime.NDArray;
import java.lang.foreign.MemorySegment;

/**
 * The kernels of integer arrays: what {@link ReferenceKernels} do, but labels become floats in one
 * pass that makes no garbage, since every training step does that.
 */
final class IntegerKernels extends ReferenceKernels {
  @Override
  public void copy(NDArray x, NDArray y) {
    if (y.dtype() != DType.F32 || !x.isContiguous() || !y.isContiguous()) {
      super.copy(x, y);
      return;
    }
    KernelChecks.copy(x, y);
    MemorySegment from = x.segment();
    MemorySegment to = y.segment();
    for (long i = 0; i < x.size(); i++) {
      DType.F32.write(to, y.offset() + i, x.dtype().read(from, x.offset() + i));
    }
  }
}
