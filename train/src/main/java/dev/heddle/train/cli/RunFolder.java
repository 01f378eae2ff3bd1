package dev.heddle.train.cli;

/** The names of what a run leaves in its output folder, beside the checkpoints. */
public final class RunFolder {
  /** The effective configuration; what {@code --resume} reads when no configuration is named. */
  public static final String CONFIG = "config.yaml";

  /** The metrics of each step. */
  public static final String METRICS = "metrics.jsonl";

  /** The report for people. */
  public static final String REPORT = "report.html";

  private RunFolder() {}
}
