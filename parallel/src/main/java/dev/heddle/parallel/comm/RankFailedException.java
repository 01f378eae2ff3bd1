package dev.heddle.parallel.comm;

/**
 * A rank's program threw, and the whole run was stopped. The cause is what it threw; what other
 * ranks threw on their own account is suppressed.
 */
public final class RankFailedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int rank;

  /** The failure {@code cause} of rank {@code rank}. */
  public RankFailedException(int rank, Throwable cause) {
    super("rank " + rank + " failed: " + cause, cause);
    this.rank = rank;
  }

  /** The rank that failed first. */
  public int rank() {
    return rank;
  }
}
