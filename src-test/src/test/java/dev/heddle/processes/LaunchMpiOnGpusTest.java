package dev.heddle.processes;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.train.cli.KilledGpuMain;
import dev.heddle.train.cli.SimulatedGpuMain;
import dev.heddle.train.json.Json;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * {@code mpirun -n N heddle train --device cuda --launch mpi}: real processes, each with one GPU of
 * a simulated machine, which meet over MPI and communicate by a simulated NCCL.
 */
class LaunchMpiOnGpusTest {
  private static final int STEPS = 3;
  private static final double TOLERANCE = 1e-4;

  @TempDir Path folder;

  private List<String> train(String output, int ranks, String vision, String language) {
    return train(output, STEPS, ranks, vision, language);
  }

  private List<String> train(String output, int steps, int ranks, String vision, String language) {
    List<String> words = new ArrayList<>(List.of("train", "../examples/emoji-captions.yaml"));
    words.addAll(List.of("--steps", "" + steps));
    for (String set :
        List.of(
            "output=" + folder.resolve(output),
            "model.vision={layers: 1, hiddenSize: 24, heads: 3, patchSize: 8}",
            "model.projector={hiddenSize: 20}",
            "model.language={layers: 2, hiddenSize: 32, heads: 4}",
            "train.globalBatch=4",
            "train.microBatches=2",
            "parallel.ranks=" + ranks,
            "parallel.vision=" + vision,
            "parallel.language=" + language)) {
      words.addAll(List.of("--set", set));
    }
    return words;
  }

  private List<Map<?, ?>> curve(String output) throws IOException {
    List<Map<?, ?>> steps = new ArrayList<>();
    for (String line : Files.readAllLines(folder.resolve(output).resolve("metrics.jsonl"))) {
      steps.add((Map<?, ?>) Json.parse(line));
    }
    assertThat(steps).hasSize(STEPS);
    return steps;
  }

  private static double number(Map<?, ?> step, String name) {
    return ((Number) step.get(name)).doubleValue();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, tp: 2}",
        "2 | {ranks: 0} | {ranks: 1}",
        "2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, pp: 2}"
      })
  void training_oneGpuAProcess_hasTheLossesOfOneRankOnTheProcessor(
      int ranks, String vision, String language) throws Exception {
    HeddleProcess.Result one =
        HeddleProcess.run(train("one", 1, "{ranks: 0}", "{ranks: 0}").toArray(String[]::new));
    assertThat(one.exitCode()).as(one.output()).isZero();

    List<String> words = new ArrayList<>(List.of("" + ranks));
    words.addAll(train("gpus", ranks, vision, language));
    words.addAll(List.of("--device", "cuda", "--launch", "mpi"));
    HeddleProcess.Result gpus =
        HeddleProcess.runMainIn(
            ranks, SimulatedGpuMain.class.getName(), words.toArray(String[]::new));

    assertThat(gpus.exitCode()).as(gpus.output()).isZero();
    for (int i = 0; i < STEPS; i++) {
      Map<?, ?> control = curve("one").get(i);
      Map<?, ?> step = curve("gpus").get(i);
      assertThat(step.get("tokens")).isEqualTo(control.get("tokens"));
      double loss = number(control, "loss");
      assertThat(number(step, "loss"))
          .as("step %d", i + 1)
          .isCloseTo(loss, within(TOLERANCE * loss));
      double norm = number(control, "grad_norm");
      assertThat(number(step, "grad_norm"))
          .as("step %d", i + 1)
          .isCloseTo(norm, within(1e-3 * norm));
    }
    // Each process had a GPU of its own, by its place on the host, and nothing was misused.
    for (int rank = 0; rank < ranks; rank++) {
      assertThat(gpus.output())
          .containsPattern(
              "simulated NCCL: [1-9][0-9]* sends, [1-9][0-9]* all-reduces, on GPU \\["
                  + rank
                  + "\\]; complaints \\[\\] \\[\\]");
    }
    assertThat(gpus.output()).containsOnlyOnce("by NCCL where each has a GPU of its own");
    assertThat(gpus.output()).containsOnlyOnce("metrics     ");
  }

  /** The other process may be in the middle of a collective that never comes to its end. */
  @Test
  void aProcessThatIsKilled_endsTheRun() throws Exception {
    List<String> words =
        new ArrayList<>(List.of("" + folder.resolve("killed").resolve("metrics.jsonl"), "2"));
    // Far more steps than are taken before the kill.
    words.addAll(train("killed", 100_000, 2, "{ranks: 0-1, dp: 2}", "{ranks: 0-1, tp: 2}"));
    words.addAll(List.of("--device", "cuda", "--launch", "mpi"));
    long start = System.nanoTime();
    HeddleProcess.Result killed =
        HeddleProcess.runMainIn(2, KilledGpuMain.class.getName(), words.toArray(String[]::new));
    double seconds = (System.nanoTime() - start) * 1e-9;

    assertThat(killed.exitCode()).as(killed.output()).isNotZero();
    assertThat(folder.resolve("killed").resolve("metrics.jsonl")).isNotEmptyFile();
    assertThat(seconds).as("seconds to the end of the run").isLessThan(240);
    assertThat(killed.output()).containsPattern("signal 9|rank 1 failed");
  }
}
