package dev.heddle.train.json;

/** A text that is not JSON, or JSON that is not what was expected. */
public final class JsonException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * Refuses a text.
   *
   * @param message one line
   */
  public JsonException(String message) {
    super(message);
  }

  /**
   * Refuses a text.
   *
   * @param message one line
   * @param cause the parser's exception
   */
  public JsonException(String message, Throwable cause) {
    super(message, cause);
  }
}
