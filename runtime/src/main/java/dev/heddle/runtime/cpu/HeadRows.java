package dev.heddle.runtime.cpu;

import dev.heddle.runtime.NDArray;
import java.lang.foreign.ValueLayout;

/**
 * Where the vectors of a [B,S,H,D] array lie. Mutable and described anew for every call, so that a
 * kernel makes no garbage.
 */
final class HeadRows {
  private static final int LINE = 64;
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

  private long start;
  private long batchBytes;
  private long headBytes;
  private int vectorBytes;

  /** Bytes from a position of the sequence to the next, within a head. */
  long rowBytes;

  void describe(NDArray x) {
    start = x.address();
    long size = x.dtype().byteSize();
    batchBytes = size * x.stride(0);
    rowBytes = size * x.stride(1);
    headBytes = size * x.stride(2);
    vectorBytes = (int) (size * x.dim(3));
  }

  /** Address of the vector at a position of one head. */
  long at(long batch, long position, long head) {
    return start + batch * batchBytes + position * rowBytes + head * headBytes;
  }

  /**
   * Reads a value of each cache line of {@code count} vectors of a head, and nothing else: the
   * vectors of a head lie in as many memory pages as there are positions, so the processor does not
   * see them coming, and a product that meets them one at a time waits for each. Here many are on
   * their way at once.
   *
   * @return what has to go somewhere, lest the compiler leaves the reading out
   */
  int touch(long batch, long head, int count) {
    long step = Lanes.stride(rowBytes);
    long row = Lanes.address(at(batch, 0, head));
    int bytes = vectorBytes;
    int all = 0;
    for (int i = 0; i < count; i++) {
      for (int line = 0; line < bytes; line += LINE) {
        all |= Lanes.MEMORY.get(INT, row + line);
      }
      row = Lanes.address(row + step);
    }
    return all;
  }
}
