package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.CommunicationException;
import dev.heddle.parallel.comm.CommunicationMismatchException;
import dev.heddle.parallel.comm.CommunicationTimeoutException;
import dev.heddle.parallel.comm.RankStoppedException;
import org.jspecify.annotations.Nullable;

/** Why a group can communicate no more. Each rank throws an exception of its own for it. */
public record Failure(Kind kind, String message, @Nullable Throwable cause) {
  /** What class of exception it becomes. */
  public enum Kind {
    TIMEOUT,
    MISMATCH,
    STOPPED,
    BROKEN
  }

  /** What {@code thrown} says. */
  public static Failure of(CommunicationException thrown) {
    Kind kind =
        switch (thrown) {
          case CommunicationTimeoutException timeout -> Kind.TIMEOUT;
          case CommunicationMismatchException mismatch -> Kind.MISMATCH;
          case RankStoppedException stopped -> Kind.STOPPED;
          default -> Kind.BROKEN;
        };
    return new Failure(kind, String.valueOf(thrown.getMessage()), thrown.getCause());
  }

  /** A new exception that says it. */
  public CommunicationException toException() {
    return switch (kind) {
      case TIMEOUT -> new CommunicationTimeoutException(message);
      case MISMATCH -> new CommunicationMismatchException(message);
      case STOPPED ->
          new RankStoppedException(
              message, cause == null ? new IllegalStateException(message) : cause);
      case BROKEN -> new CommunicationException(message, cause);
    };
  }

  /** Whether a rank threw only because it was stopped; its program may have wrapped that. */
  public static boolean isConsequence(Throwable thrown) {
    int depth = 0;
    for (Throwable t = thrown; t != null && depth < 10; t = t.getCause(), depth++) {
      if (t instanceof RankStoppedException) {
        return true;
      }
    }
    return false;
  }
}
