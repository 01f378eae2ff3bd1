package dev.heddle.train.config;

import java.util.List;
import java.util.stream.Collectors;

/**
 * A configuration that cannot be run. The message has one line for each problem, each with the
 * place, the value and what would be accepted; it is meant for the user, without a stack trace.
 */
public final class ConfigException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final transient List<ConfigProblem> problems;

  /**
   * Refuses a configuration.
   *
   * @param problems at least one
   */
  public ConfigException(List<ConfigProblem> problems) {
    super(problems.stream().map(ConfigProblem::message).collect(Collectors.joining("\n")));
    this.problems = List.copyOf(problems);
  }

  /** What is wrong, in the order found. */
  public List<ConfigProblem> problems() {
    return problems;
  }
}
