package dev.heddle.parallel.comm;

/** This rank is stopped because another one failed: the cause is the other rank's failure. */
public final class RankStoppedException extends CommunicationException {
  private static final long serialVersionUID = 1L;

  /** A stop that {@code message} describes. */
  public RankStoppedException(String message, Throwable cause) {
    super(message, cause);
  }
}
