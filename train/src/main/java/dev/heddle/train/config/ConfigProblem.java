package dev.heddle.train.config;

/**
 * One reason to refuse a configuration.
 *
 * @param location where and what, such as {@code run.yaml:14: model.vision.heads = 5}
 * @param reason why it cannot work
 * @param accepted what would work instead
 */
public record ConfigProblem(String location, String reason, String accepted) {

  /** The problem as one line: location, reason, what would be accepted. */
  public String message() {
    return location + ": " + reason + "; accepted: " + accepted;
  }

  @Override
  public String toString() {
    return message();
  }
}
