package dev.heddle.simulated.simt;

/**
 * Which bytes of an allocation a launch has read and which it has written, each counted once
 * however often it was touched: what the launch moves if its caches are perfect.
 */
final class TouchedBytes {
  private final long[] read;
  private final long[] written;
  private long bytesRead;
  private long bytesWritten;

  TouchedBytes(long byteSize) {
    int words = Math.toIntExact((byteSize + Long.SIZE - 1) / Long.SIZE);
    read = new long[words];
    written = new long[words];
  }

  /** Notes an aligned read of 1, 2, 4 or 8 bytes at {@code at}. */
  void noteRead(long at, int size) {
    bytesRead += mark(read, at, size);
  }

  /** Notes an aligned write of 1, 2, 4 or 8 bytes at {@code at}. */
  void noteWrite(long at, int size) {
    bytesWritten += mark(written, at, size);
  }

  /** Marks bytes that lie in one word, since accesses are aligned; returns how many are new. */
  private static int mark(long[] words, long at, int size) {
    int word = (int) (at / Long.SIZE);
    long mask = ((1L << size) - 1) << (at % Long.SIZE);
    long added = mask & ~words[word];
    words[word] |= added;
    return Long.bitCount(added);
  }

  long bytesRead() {
    return bytesRead;
  }

  long bytesWritten() {
    return bytesWritten;
  }
}
