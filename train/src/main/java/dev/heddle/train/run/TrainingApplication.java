package dev.heddle.train.run;

import dev.heddle.train.checkpoint.Checkpoint;
import dev.heddle.train.checkpoint.CheckpointException;
import dev.heddle.train.checkpoint.CheckpointStore;
import dev.heddle.train.cli.Application;
import dev.heddle.train.cli.PlanRequest;
import dev.heddle.train.cli.RankLauncher;
import dev.heddle.train.cli.RunFolder;
import dev.heddle.train.cli.TrainRequest;
import dev.heddle.train.config.ConfigWriter;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.report.Machine;
import dev.heddle.train.report.MetricsFile;
import dev.heddle.train.report.ProgressLine;
import dev.heddle.train.report.StepMetrics;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/** What the {@code heddle} command does with the captioning model. */
public final class TrainingApplication implements Application {
  private @Nullable KernelWarming warming;

  /** Found by the service loader. */
  public TrainingApplication() {}

  @Override
  public void prepareToTrain() {
    warming = KernelWarming.start();
  }

  @Override
  public void plan(PlanRequest request, PrintStream out) {
    TrainingData data = TrainingData.open(request.config());
    RunPlan plan = RunPlan.of(request.config(), data);
    if (request.launches()) {
      plan = plan.withSteps(data);
    }
    if (request.json()) {
      out.println(PlanDocument.of(plan));
    } else {
      out.print(PlanText.of(plan));
    }
  }

  @Override
  public void train(TrainRequest request, RankLauncher launcher, PrintStream out)
      throws IOException {
    RunConfig config = request.config();
    TrainingData data = TrainingData.open(config);
    RankDevices devices = RankDevices.of(request.device());
    LayoutDescription layout = new LayoutDescription(config, data);
    printStart(config, data, layout, launcher, devices, out);
    KernelWarming warmedUp = warming;
    if (warmedUp != null) {
      warmedUp.close();
    }
    Path resume = request.resume().orElse(null);
    try (Checkpoint resumed = resume == null ? null : CheckpointStore.resume(resume)) {
      if (resumed != null) {
        checkSameWords(resumed, data);
        out.println("going on after step " + resumed.step() + " of " + resumed.folder());
      }
      if (!launcher.hasFirstRank()) {
        new TrainingRun(config, data, launcher, devices, request.graph())
            .train(resumed, request.lastStep(), step -> {});
        return;
      }
      Files.createDirectories(config.output());
      Files.writeString(config.output().resolve(RunFolder.CONFIG), ConfigWriter.toYaml(config));
      long start = System.nanoTime();
      try (MetricsFile metrics = metrics(request, resumed);
          ProgressLine progress =
              new ProgressLine(out, ProgressLine.isTerminal(), request.lastStep())) {
        new TrainingRun(config, data, launcher, devices, request.graph())
            .train(
                resumed,
                request.lastStep(),
                new Reporter(metrics, progress),
                request.trace().orElse(null));
      }
      finish(request, data, layout, devices, (System.nanoTime() - start) * 1e-9, out);
    }
  }

  private static MetricsFile metrics(TrainRequest request, @Nullable Checkpoint resumed) {
    return resumed == null
        ? MetricsFile.create(request.metrics())
        : MetricsFile.resume(request.metrics(), resumed.step());
  }

  private static void printStart(
      RunConfig config,
      TrainingData data,
      LayoutDescription layout,
      RankLauncher launcher,
      RankDevices devices,
      PrintStream out) {
    for (Machine.Finding finding : Machine.processor()) {
      out.printf("%-11s %s%n", finding.name(), finding.state());
      if (!finding.found() && !finding.remedy().isEmpty()) {
        out.printf("%-11s %s%n", "", finding.remedy());
      }
    }
    if (!devices.inWords().isEmpty()) {
      out.printf("%-11s %s%n", "GPUs", devices.inWords());
    }
    out.printf(
        "data        %d emoji to train on, %d held out, %d words%n",
        data.dataset().training().size(),
        data.dataset().heldOut().size(),
        data.tokenizer().vocabularySize());
    out.printf(
        "ranks       %d, each %s, %s%n%n",
        config.parallel().ranks(), launcher.rankInWords(), config.dtype().word());
    out.print(layout.components());
    out.println();
    out.print(layout.boundaries());
    out.println();
  }

  /** A checkpoint of other words would give every word's vector to another word. */
  private static void checkSameWords(Checkpoint checkpoint, TrainingData data) {
    String file = RankTrainer.VOCABULARY;
    WordTokenizer saved = WordTokenizer.fromJson(file, checkpoint.text(file));
    if (!saved.equals(data.tokenizer())) {
      throw new CheckpointException(
          checkpoint.folder(),
          "was trained on "
              + saved.vocabularySize()
              + " words, the data have other "
              + data.tokenizer().vocabularySize()
              + "; data.holdOut and the data must be those of the run that is gone on with");
    }
  }

  private static void finish(
      TrainRequest request,
      TrainingData data,
      LayoutDescription layout,
      RankDevices devices,
      double seconds,
      PrintStream out)
      throws IOException {
    RunConfig config = request.config();
    out.printf("%ntrained in %s%n", ProgressLine.duration(seconds));
    Evaluation evaluation = null;
    if (request.lastStep() >= config.train().steps()) {
      try (Checkpoint last = CheckpointStore.resume(config.output())) {
        evaluation = Evaluation.of(config, data, last, devices);
      }
      EvaluationText.print(evaluation, out);
    } else {
      out.printf(
          "stopped after step %d of %d as asked; captions are scored at the end:%n"
              + "  ./heddle train --resume %s%n",
          request.lastStep(), config.train().steps(), config.output());
    }
    Path report = config.output().resolve(RunFolder.REPORT);
    ReportWriter.write(report, request, data, layout, evaluation, seconds);
    out.printf("%nmetrics     %s%n", request.metrics());
    request.trace().ifPresent(trace -> out.printf("trace       %s%n", trace));
    out.printf("checkpoint  %s%n", CheckpointStore.folderOf(config.output()));
    out.printf("report      %s%n", report);
  }

  /** Writes each step to the metrics and to the progress line. */
  private record Reporter(MetricsFile metrics, ProgressLine progress) implements TrainingListener {
    @Override
    public void stepDone(StepMetrics step) {
      metrics.add(step);
      progress.update(step);
    }

    @Override
    public void stepSkipped(long step) {
      progress.println(
          "step " + step + ": the gradient is not finite; the update is left out on every rank");
    }
  }
}
