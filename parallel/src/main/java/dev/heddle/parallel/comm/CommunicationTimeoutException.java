package dev.heddle.parallel.comm;

/**
 * An operation did not complete in time. The message names it, its group, the ranks that came,
 * those that did not, and what those last did.
 */
public final class CommunicationTimeoutException extends CommunicationException {
  private static final long serialVersionUID = 1L;

  /** A time-out that {@code message} describes. */
  public CommunicationTimeoutException(String message) {
    super(message, null);
  }
}
