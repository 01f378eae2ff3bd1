package dev.heddle.train.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.train.checkpoint.CheckpointStore;
import dev.heddle.train.dataset.EmojiDataset;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class HeddleCommandTest {
  private static final String EXAMPLE = "../examples/emoji-captions.yaml";

  @TempDir Path folder;

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream error = new ByteArrayOutputStream();
  private final Recorder recorder = new Recorder();

  /** Remembers what it was asked for; fails when told to. */
  private static final class Recorder implements Application {
    private final List<TrainRequest> trained = new ArrayList<>();
    private final List<PlanRequest> planned = new ArrayList<>();
    private Exception failure = new Exception("not used");
    private boolean fails;

    @Override
    public void train(TrainRequest request, RankLauncher launcher, PrintStream out)
        throws Exception {
      trained.add(request);
      if (fails) {
        throw failure;
      }
    }

    @Override
    public void plan(PlanRequest request, PrintStream out) {
      planned.add(request);
      out.println(request.json() ? "{\"the\": \"plan\"}" : "the plan");
    }

    void failWith(Exception e) {
      failure = e;
      fails = true;
    }
  }

  private int run(String... arguments) {
    return HeddleCommand.run(
        recorder,
        new PrintStream(out, true, StandardCharsets.UTF_8),
        new PrintStream(error, true, StandardCharsets.UTF_8),
        arguments);
  }

  private String out() {
    return out.toString(StandardCharsets.UTF_8);
  }

  private String error() {
    return error.toString(StandardCharsets.UTF_8);
  }

  private TrainRequest trained() {
    assertThat(error()).isEmpty();
    assertThat(recorder.trained).hasSize(1);
    return recorder.trained.getFirst();
  }

  @Test
  void train_aConfiguration_asksForAllItsSteps() {
    assertThat(run("train", EXAMPLE)).isZero();
    TrainRequest request = trained();
    assertThat(request.lastStep()).isEqualTo(5000);
    assertThat(request.metrics()).isEqualTo(Path.of("runs/emoji-captions/metrics.jsonl"));
    assertThat(request.resume()).isEmpty();
  }

  @Test
  void train_withEveryOption_passesThemOn() {
    assertThat(
            run(
                "train",
                EXAMPLE,
                "--set",
                "train.warmupSteps=5",
                "--set=parallel={}",
                "--steps",
                "50",
                "--metrics",
                "run.jsonl",
                "--resume",
                "runs/other",
                "--trace",
                "trace.json",
                "--seed=3"))
        .isZero();
    TrainRequest request = trained();
    assertThat(request.config().train().warmupSteps()).isEqualTo(5);
    assertThat(request.config().parallel().ranks()).isEqualTo(1);
    assertThat(request.config().seed()).isEqualTo(3);
    assertThat(request.lastStep()).isEqualTo(50);
    assertThat(request.config().train().steps()).as("the schedule's length").isEqualTo(5000);
    assertThat(request.metrics()).isEqualTo(Path.of("run.jsonl"));
    assertThat(request.resume()).contains(Path.of("runs/other"));
    assertThat(request.trace()).contains(Path.of("trace.json"));
  }

  @Test
  void train_moreStepsThanConfigured_lengthensTheSchedule() {
    assertThat(run("train", EXAMPLE, "--steps", "6000")).isZero();
    assertThat(trained().lastStep()).isEqualTo(6000);
    assertThat(trained().config().train().steps()).isEqualTo(6000);
  }

  @Test
  void train_resumeWithoutConfiguration_takesTheRunsOwn() throws Exception {
    Files.writeString(folder.resolve(RunFolder.CONFIG), "seed: 42\ntrain: {steps: 5}\n");
    assertThat(run("train", "--resume", folder.toString())).isZero();
    assertThat(trained().config().seed()).isEqualTo(42);
    assertThat(trained().resume()).contains(folder);
    assertThat(trained().config().output()).as("where it was moved to").isEqualTo(folder);
    assertThat(trained().metrics()).isEqualTo(folder.resolve("metrics.jsonl"));
  }

  @Test
  void train_configurationThatCannotWork_isRefusedWithoutAStackTrace() {
    assertThat(run("train", EXAMPLE, "--set", "model.vision.heads=5")).isEqualTo(2);
    assertThat(error())
        .isEqualToIgnoringNewLines(
            "--set model.vision.heads=5: hiddenSize 96 is not divisible by 5;"
                + " accepted: 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 96");
    assertThat(recorder.trained).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--seed=-1 | --seed -1: negative; accepted: a whole number of at least 0",
        "--set=seed | --set seed: no '=' after the key",
        "--steps=0 | heddle train: --steps 0: accepted: a whole number of at least 1",
        "--steps=many | heddle train: Invalid value for option '--steps': 'many' is not an int",
        "--metric=x | heddle train: Unknown option: '--metric=x'",
        "second | heddle train: Unmatched argument at index 2: 'second'",
      })
  void train_wordsThatCannotBeUnderstood_areRefused(String line) {
    String[] parts = line.split(" \\| ", 2);
    assertThat(run("train", EXAMPLE, parts[0])).isEqualTo(2);
    assertThat(error()).startsWith(parts[1]).doesNotContain("\tat ");
    assertThat(recorder.trained).isEmpty();
  }

  @Test
  void train_withoutConfiguration_saysWhatIsMissing() {
    assertThat(run("train")).isEqualTo(2);
    assertThat(error())
        .isEqualToIgnoringNewLines(
            "heddle train: name a configuration, CONFIGTry 'heddle train --help'.");
    error.reset();
    assertThat(run("train", "missing.yaml")).isEqualTo(2);
    assertThat(error()).startsWith("missing.yaml: there is no such file; accepted: ");
    error.reset();
    assertThat(run("plan")).isEqualTo(2);
    assertThat(error()).contains("Missing required parameter: 'CONFIG'");
  }

  @Test
  void train_dataOrCheckpointThatCannotBeRead_isRefusedWithoutAStackTrace() {
    for (Runnable refused :
        List.<Runnable>of(
            () -> CheckpointStore.resume(folder.resolve("none")),
            () ->
                EmojiDataset.open(new dev.heddle.train.config.DataConfig("emoji", 2, folder), 1))) {
      error.reset();
      try {
        refused.run();
      } catch (RuntimeException e) {
        recorder.failWith(e);
      }
      assertThat(run("train", EXAMPLE)).isEqualTo(2);
      assertThat(error()).contains("there is no such").doesNotContain("\tat ");
      assertThat(error().lines()).hasSize(1);
    }
  }

  @Test
  void train_thatFails_showsWhere() {
    recorder.failWith(new IllegalStateException("rank 1 did not arrive"));
    assertThat(run("train", EXAMPLE)).isEqualTo(1);
    assertThat(error())
        .startsWith("heddle train: the run failed")
        .contains("rank 1 did not arrive", "\tat ");
  }

  @Test
  void plan_printsToTheOutput() {
    assertThat(run("plan", EXAMPLE, "--set", "seed=9")).isZero();
    assertThat(recorder.planned).extracting(request -> request.config().seed()).containsExactly(9L);
    assertThat(recorder.planned.getFirst().launches()).isFalse();
    assertThat(out()).contains("the plan");
    out.reset();
    assertThat(run("plan", EXAMPLE, "--json")).isZero();
    assertThat(out()).isEqualToIgnoringNewLines("{\"the\": \"plan\"}");
  }

  @Test
  void doctor_namesEverythingLookedForAndTheRemedies() {
    assertThat(run("doctor")).isZero();
    assertThat(out())
        .contains(
            "JDK", "cores", "Vector API", "oneDNN", "CUDA driver", "cuBLAS", "NCCL", "Open MPI");
    for (String line : out().lines().toList()) {
      assertThat(line).isEqualTo(line.stripTrailing());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "train", "plan", "doctor"})
  void help_atEveryLevel_namesTheOptions(String command) {
    String[] arguments =
        command.isEmpty() ? new String[] {"--help"} : new String[] {command, "--help"};
    assertThat(run(arguments)).isZero();
    assertThat(out()).startsWith("Usage: heddle").contains("--version");
    List<String> expected =
        switch (command) {
          case "" -> List.of("train", "plan", "doctor", "bench", "help");
          case "train" -> List.of("--set", "--steps", "--metrics", "--resume", "--seed", "CONFIG");
          case "plan" -> List.of("--set", "--json", "--launches", "CONFIG");
          default -> List.of("oneDNN");
        };
    assertThat(out()).contains(expected);
    out.reset();
    assertThat(run("help", "train")).isZero();
    assertThat(out()).startsWith("Usage: heddle train");
  }

  @Test
  void heddle_withoutACommandOrWithAnUnknownOne_saysWhatThereIs() {
    assertThat(run()).isEqualTo(2);
    assertThat(error()).startsWith("heddle: say what to do: train, plan or doctor");
    error.reset();
    assertThat(run("trian", EXAMPLE)).isEqualTo(2);
    assertThat(error()).contains("trian", "train");
  }

  @Test
  void version_namesHeddleAndTheJdk() {
    assertThat(run("--version")).isZero();
    assertThat(out()).startsWith("heddle ").contains(" on JDK " + Runtime.version());
  }
}
