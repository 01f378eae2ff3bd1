package dev.heddle.parallel.comm;

/**
 * An operation that has been posted. From the call that returned it until {@link #await()} returns,
 * the arrays of the operation belong to it: the caller neither writes nor frees them, and does not
 * read those that it writes to.
 *
 * <p>Every handle must be awaited (or polled until it is done) by the thread that posted it;
 * several may be open at once and be awaited in any order.
 */
public interface Handle {
  /**
   * Returns when this rank's part of the operation is complete: what it receives has arrived, and
   * what it sends may be overwritten. Waiting again returns at once.
   *
   * @throws CommunicationException if the operation failed; see the subclasses for how it can
   */
  void await();

  /**
   * Whether {@link #await()} would return at once. Polling makes progress, so a loop that polls and
   * computes does end.
   *
   * @throws CommunicationException if the operation failed
   */
  boolean isDone();
}
