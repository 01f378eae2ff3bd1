package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;

/** Operands of products, and what comes out in double precision. */
final class ExactProducts {
  private ExactProducts() {}

  /** Rows of a wider array, so that rows do not follow each other without a gap. */
  static NDArray matrix(
      CpuDevice device, DType dtype, RandomKey key, long rows, long columns, long gap) {
    NDArray whole = NDArray.empty(device, dtype, rows, columns + gap);
    whole.kernels().randomNormal(key, GlobalIndex.whole(whole.shape()), 0, 1, whole);
    return whole.slice(1, 0, columns);
  }

  /** op(a) op(b), [m,n]. */
  static double[] exact(NDArray a, boolean ta, NDArray b, boolean tb, long m, long n) {
    NDArray c = NDArray.empty(a.device(), DType.F64, m, n);
    c.kernels().gemm(a.cast(DType.F64), ta, b.cast(DType.F64), tb, 1, 0, c);
    return c.toDoubles();
  }
}
