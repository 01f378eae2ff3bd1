package dev.heddle.train.checkpoint;

import java.nio.file.Path;

/** A checkpoint that cannot be read. The message names the file and the reason. */
public final class CheckpointException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * Refuses a file.
   *
   * @param file the file or folder
   * @param reason what is wrong with it, and where it helps what to do
   */
  public CheckpointException(Path file, String reason) {
    super(file + ": " + reason);
  }

  /**
   * Refuses a file.
   *
   * @param file the file or folder
   * @param reason what is wrong with it
   * @param cause what the system said
   */
  public CheckpointException(Path file, String reason, Throwable cause) {
    super(file + ": " + reason, cause);
  }
}
