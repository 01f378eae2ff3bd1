package dev.heddle.parallel.comm;

import org.jspecify.annotations.Nullable;

/**
 * Ranks could not communicate. The message names the operation, its group and the ranks concerned.
 * A group that failed stays failed: its later operations throw the same message.
 */
public class CommunicationException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** A failure that {@code message} describes. */
  public CommunicationException(String message, @Nullable Throwable cause) {
    super(message, cause);
  }
}
