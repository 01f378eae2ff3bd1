package dev.heddle.processes;

import static org.assertj.core.api.Assertions.assertThat;

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

/** {@code --launch mpi}: what ranks are changes nothing but where they run. */
class LaunchMpiTest {
  private static final int STEPS = 4;

  @TempDir Path folder;

  private String[] train(String output, String launch, String vision, String language, int ranks) {
    List<String> words = new ArrayList<>(List.of("train", "../examples/emoji-captions.yaml"));
    words.addAll(List.of("--launch", launch, "--steps", "" + STEPS));
    for (String set :
        List.of(
            "output=" + folder.resolve(output),
            "dtype=f64",
            "model.vision={layers: 1, hiddenSize: 8, heads: 2, patchSize: 8, imageSize: 16}",
            "model.projector={hiddenSize: 8}",
            "model.language={layers: 1, hiddenSize: 8, heads: 2, contextLength: 32}",
            "train.globalBatch=6",
            "parallel.ranks=" + ranks,
            "parallel.vision=" + vision,
            "parallel.language=" + language)) {
      words.addAll(List.of("--set", set));
    }
    return words.toArray(String[]::new);
  }

  private List<List<Object>> curve(String output) throws IOException {
    List<List<Object>> steps = new ArrayList<>();
    for (String line : Files.readAllLines(folder.resolve(output).resolve("metrics.jsonl"))) {
      Map<?, ?> step = (Map<?, ?>) Json.parse(line);
      steps.add(
          List.of(step.get("step"), step.get("loss"), step.get("tokens"), step.get("grad_norm")));
    }
    assertThat(steps).hasSize(STEPS);
    return steps;
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "2 | {ranks: 0-1, dp: 2} | {ranks: 0-1, tp: 2}",
        "4 | {ranks: 0-1, dp: 2} | {ranks: 2-3, tp: 2}",
        "4 | {ranks: 0-2, dp: 3} | {ranks: 2-3, tp: 2}"
      })
  void training_inProcesses_hasTheBitsOfTrainingInThreads(int ranks, String vision, String language)
      throws Exception {
    HeddleProcess.Result processes =
        HeddleProcess.runIn(ranks, train("mpi", "mpi", vision, language, ranks));
    assertThat(processes.exitCode()).as(processes.output()).isZero();
    HeddleProcess.Result threads =
        HeddleProcess.run(train("local", "local", vision, language, ranks));
    assertThat(threads.exitCode()).as(threads.output()).isZero();

    assertThat(curve("mpi")).isEqualTo(curve("local"));
    assertThat(processes.output()).containsOnlyOnce("each a process");
    assertThat(processes.output()).containsOnlyOnce("metrics     ");
    assertThat(folder.resolve("mpi/report.html")).exists();
    assertThat(folder.resolve("mpi/config.yaml")).exists();
  }

  @Test
  void aNumberOfProcessesThatIsNotThatOfTheRanks_isRefusedOnce_withBothNumbers() throws Exception {
    HeddleProcess.Result result =
        HeddleProcess.runIn(
            3, train("none", "mpi", "{ranks: 0-1, dp: 2}", "{ranks: 0-1, tp: 2}", 2));

    assertThat(result.exitCode()).isEqualTo(2);
    assertThat(result.output())
        .containsOnlyOnce(
            "the configuration has parallel.ranks 2, and the job has 3 processes; accepted: as many"
                + " processes as ranks, so start it with mpirun -n 2, or add --set"
                + " parallel.ranks=3");
  }

  @Test
  void aMistakeInTheConfiguration_isSaidOnce_andEndsAll() throws Exception {
    HeddleProcess.Result result =
        HeddleProcess.runIn(
            2,
            "train",
            "../examples/emoji-captions.yaml",
            "--launch",
            "mpi",
            "--set",
            "model.vision.layres=3");

    assertThat(result.exitCode()).isEqualTo(2);
    assertThat(result.output()).containsOnlyOnce("layres").doesNotContain("Exception");
  }
}
