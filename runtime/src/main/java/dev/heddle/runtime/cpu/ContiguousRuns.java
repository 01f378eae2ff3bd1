package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;

/**
 * An array of any strides as runs: stretches of elements that lie one after the other in memory, in
 * row-major order. A contiguous array is one run; the queries of a packed projection [B,S,3,H,D]
 * are B S runs of H D.
 */
final class ContiguousRuns {
  private final long[] dims;
  private final long[] strides;
  private final int outer;
  private final long base;

  /** Elements of each run; 1 where no two neighbours lie side by side. */
  final long length;

  /** How many runs there are. */
  final long count;

  ContiguousRuns(NDArray x) {
    int rank = x.rank();
    int first = rank;
    long run = 1;
    while (first > 0 && (x.dim(first - 1) == 1 || x.stride(first - 1) == run)) {
      run *= x.dim(--first);
    }
    outer = first;
    length = run;
    dims = new long[outer];
    strides = new long[outer];
    long runs = run == 0 ? 0 : 1;
    for (int i = 0; i < outer; i++) {
      dims[i] = x.dim(i);
      strides[i] = x.stride(i);
      runs *= dims[i];
    }
    count = runs;
    base = x.address();
  }

  /** The address of a run's first element, whose size is {@code byteSize}. */
  long address(long run, long byteSize) {
    long rest = run;
    long offset = 0;
    for (int i = outer - 1; i > 0; i--) {
      long above = rest / dims[i];
      offset += (rest - above * dims[i]) * strides[i];
      rest = above;
    }
    return base + byteSize * (outer == 0 ? 0 : offset + rest * strides[0]);
  }
}
