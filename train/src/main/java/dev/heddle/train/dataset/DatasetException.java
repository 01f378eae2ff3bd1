package dev.heddle.train.dataset;

/**
 * Data that cannot be used. The message names the file, where it helps the line, and the reason.
 */
public final class DatasetException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * Refuses data.
   *
   * @param file the file
   * @param reason what is wrong with it
   */
  public DatasetException(String file, String reason) {
    super(file + ": " + reason);
  }

  /**
   * Refuses data.
   *
   * @param file the file
   * @param reason what is wrong with it
   * @param cause what the system or the parser said
   */
  public DatasetException(String file, String reason, Throwable cause) {
    super(file + ": " + reason, cause);
  }
}
