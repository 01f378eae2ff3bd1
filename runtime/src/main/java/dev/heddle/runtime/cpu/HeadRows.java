package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;

/**
 * Where the vectors of a [B,S,H,D] array lie. Mutable and described anew for every call, so that a
 * kernel makes no garbage.
 */
final class HeadRows {
  private long start;
  private long batchBytes;
  private long headBytes;

  /** Bytes from a position of the sequence to the next, within a head. */
  long rowBytes;

  void describe(NDArray x) {
    start = x.address();
    long size = x.dtype().byteSize();
    batchBytes = size * x.stride(0);
    rowBytes = size * x.stride(1);
    headBytes = size * x.stride(2);
  }

  /** Address of the vector at a position of one head. */
  long at(long batch, long position, long head) {
    return start + batch * batchBytes + position * rowBytes + head * headBytes;
  }
}
