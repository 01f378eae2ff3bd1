package dev.heddle.train.report;

import java.util.List;
import java.util.Map;

/**
 * What {@code report.html} shows of a finished run.
 *
 * @param title the run's name
 * @param facts short facts for the top, such as steps, time and parameters; in order
 * @param results one row for each question asked of the trained model
 * @param captions pictures that the model never saw, with what it wrote
 * @param metrics every step
 * @param layout where each component ran and what the boundary moved, as printed at the start
 * @param configuration the effective configuration as YAML
 * @param environment what was found on the machine; in order
 */
public record RunReport(
    String title,
    Map<String, String> facts,
    List<Result> results,
    List<Caption> captions,
    List<StepMetrics> metrics,
    String layout,
    String configuration,
    Map<String, String> environment) {

  /** Keeps the lists as they are now. */
  public RunReport {
    results = List.copyOf(results);
    captions = List.copyOf(captions);
    metrics = List.copyOf(metrics);
  }

  /**
   * How well a question was answered, beside the caption prior: the same language model without a
   * picture.
   *
   * @param question such as {@code held-out emoji, Google drawings}
   * @param pictures how many
   * @param wordF1 the model's, from 0 to 1
   * @param exactMatch the model's, from 0 to 1
   * @param baselineWordF1 the caption prior's
   * @param baselineExactMatch the caption prior's
   */
  public record Result(
      String question,
      int pictures,
      double wordF1,
      double exactMatch,
      double baselineWordF1,
      double baselineExactMatch) {}

  /**
   * A picture with its captions.
   *
   * @param pixels square, row by row, as 0xRRGGBB
   * @param truth the true caption's words
   * @param written the words that the model wrote
   */
  @SuppressWarnings("ArrayRecordComponent") // A picture is shown, never compared.
  public record Caption(int[] pixels, List<String> truth, List<String> written) {}
}
