package dev.heddle.train.run;

import java.io.PrintStream;
import java.util.Locale;

/** An evaluation in words. */
final class EvaluationText {
  private static final int EXAMPLES = 12;

  private EvaluationText() {}

  static void print(Evaluation evaluation, PrintStream out) {
    out.printf("%n%-34s %9s  %-17s %-17s%n", "", "", "word F1", "exact match");
    out.printf(
        "%-34s %9s  %8s %8s %8s %8s%n",
        "captions of", "pictures", "model", "prior", "model", "prior");
    for (Evaluation.Result result : evaluation.results()) {
      out.printf(
          Locale.ROOT,
          "%-34s %9d  %8.3f %8.3f %8.3f %8.3f%n",
          result.name(),
          result.model().captions(),
          result.model().wordF1(),
          result.prior().wordF1(),
          result.model().exactMatch(),
          result.prior().exactMatch());
    }
    out.printf(
        "prior: the same language model without pictures; it always writes \"%s\"%n%n",
        String.join(" ", evaluation.priorCaption()));
    out.printf("%-36s %s%n", "held-out picture", "caption written");
    for (Evaluation.Written written : evaluation.examples(EXAMPLES)) {
      out.printf(
          "%-36s %s%n",
          written.emoji().caption() + " (" + written.style().name().toLowerCase(Locale.ROOT) + ")",
          String.join(" ", written.caption()));
    }
  }
}
