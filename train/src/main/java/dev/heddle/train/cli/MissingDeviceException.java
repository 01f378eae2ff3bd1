package dev.heddle.train.cli;

/** The devices that a run was asked to use are not there; the message says what to do. */
public final class MissingDeviceException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** With a message for the person at the command line. */
  public MissingDeviceException(String message) {
    super(message);
  }
}
