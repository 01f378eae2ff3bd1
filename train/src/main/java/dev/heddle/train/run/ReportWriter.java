package dev.heddle.train.run;

import dev.heddle.train.cli.TrainRequest;
import dev.heddle.train.config.ConfigWriter;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.report.HtmlReport;
import dev.heddle.train.report.Machine;
import dev.heddle.train.report.MetricsFile;
import dev.heddle.train.report.ProgressLine;
import dev.heddle.train.report.RunReport;
import dev.heddle.train.report.StepMetrics;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Collects what a run came to and writes {@code report.html}. */
final class ReportWriter {
  private static final int PICTURES = 48;

  private ReportWriter() {}

  /**
   * Writes the report.
   *
   * @param evaluation null where the run was stopped before its end
   */
  static void write(
      Path file,
      TrainRequest request,
      TrainingData data,
      LayoutDescription layout,
      @Nullable Evaluation evaluation,
      double seconds)
      throws IOException {
    RunConfig config = request.config();
    List<StepMetrics> metrics = MetricsFile.read(request.metrics());
    List<RunReport.Result> results = new ArrayList<>();
    List<RunReport.Caption> captions = new ArrayList<>();
    if (evaluation != null) {
      for (Evaluation.Result result : evaluation.results()) {
        results.add(
            new RunReport.Result(
                result.name(),
                result.model().captions(),
                result.model().wordF1(),
                result.model().exactMatch(),
                result.prior().wordF1(),
                result.prior().exactMatch()));
      }
      for (Evaluation.Written written : evaluation.examples(PICTURES)) {
        captions.add(
            new RunReport.Caption(
                data.dataset().pixels(written.emoji(), written.style()),
                written.emoji().words(),
                written.caption()));
      }
    }
    Map<String, String> facts = new LinkedHashMap<>();
    facts.put("steps", Long.toString(request.lastStep()));
    facts.put("time", ProgressLine.duration(seconds));
    facts.put("ranks", Integer.toString(config.parallel().ranks()));
    facts.put("dtype", config.dtype().word());
    Map<String, String> environment = new LinkedHashMap<>();
    for (Machine.Finding finding : Machine.processor()) {
      environment.put(finding.name(), finding.state());
    }
    Path name = config.output().getFileName();
    RunReport report =
        new RunReport(
            name == null ? "run" : name.toString(),
            facts,
            results,
            captions,
            metrics,
            PlanText.of(RunPlan.of(config, data)),
            ConfigWriter.toYaml(config),
            environment);
    Files.writeString(file, HtmlReport.render(report));
  }
}
