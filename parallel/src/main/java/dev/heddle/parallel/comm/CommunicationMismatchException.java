package dev.heddle.parallel.comm;

/**
 * The ranks of a group called different operations, or the same one with arguments that do not fit
 * together. The message says what each of them called.
 */
public final class CommunicationMismatchException extends CommunicationException {
  private static final long serialVersionUID = 1L;

  /** A mismatch that {@code message} describes. */
  public CommunicationMismatchException(String message) {
    super(message, null);
  }
}
