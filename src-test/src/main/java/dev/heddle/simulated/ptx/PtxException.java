package dev.heddle.simulated.ptx;

/** PTX that is not understood: which line of which module, its text, and what about it. */
public final class PtxException extends IllegalArgumentException {
  private static final long serialVersionUID = 1L;

  private final int line;

  /**
   * A refusal.
   *
   * @param line counted from 1
   * @param text the line
   */
  public PtxException(String module, int line, String text, String reason) {
    super("%s, line %d: %s%n    %s".formatted(module, line, reason, text.strip()));
    this.line = line;
  }

  /** The line it is about, counted from 1. */
  public int line() {
    return line;
  }
}
