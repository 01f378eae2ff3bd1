package dev.heddle.parallel.comm.support;

import dev.heddle.runtime.NDArray;

/** The division of an array's elements over the members that share the work on them. */
public final class Slices {
  // A slice starts at a cache line, so that no two threads write to the same one.
  private static final long SLICE_BYTES = 64;

  private Slices() {}

  /** The first element of slice {@code slice} of {@code size} slices. */
  public static long start(NDArray array, int slice, int size) {
    long lineElements = SLICE_BYTES / array.dtype().byteSize();
    long lines = (array.size() + lineElements - 1) / lineElements;
    return Math.min(array.size(), lines * slice / size * lineElements);
  }
}
