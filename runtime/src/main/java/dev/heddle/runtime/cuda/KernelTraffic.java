package dev.heddle.runtime.cuda;

/**
 * What launches of one kernel have moved between memory and the multiprocessors, at least: each
 * launch reads every byte that it reads once, and writes every byte that it writes once, as with a
 * perfect cache.
 *
 * @param launches how many there were
 * @param bytesRead bytes read
 * @param bytesWritten bytes written
 */
public record KernelTraffic(long launches, long bytesRead, long bytesWritten) {
  /** Nothing. */
  public static final KernelTraffic NONE = new KernelTraffic(0, 0, 0);

  /** This and that together. */
  public KernelTraffic plus(KernelTraffic other) {
    return new KernelTraffic(
        launches + other.launches, bytesRead + other.bytesRead, bytesWritten + other.bytesWritten);
  }

  /** What came after {@code earlier}. */
  public KernelTraffic since(KernelTraffic earlier) {
    return new KernelTraffic(
        launches - earlier.launches,
        bytesRead - earlier.bytesRead,
        bytesWritten - earlier.bytesWritten);
  }

  /** Bytes read and written. */
  public long bytes() {
    return bytesRead + bytesWritten;
  }
}
