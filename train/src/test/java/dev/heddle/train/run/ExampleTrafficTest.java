package dev.heddle.train.run;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import dev.heddle.train.config.RunConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What one training step of each configuration in {@code examples/} communicates: kind, number and
 * bytes of its operations on every rank, forward, backward and in the update, as {@link
 * ExpectedTraffic} works them out from the layout. Layouts, layers, heads and data are the
 * examples' own, the widths are cut down.
 */
class ExampleTrafficTest {
  private static final Path EXAMPLES = Path.of("..", "examples");
  private static final long STEP = 1;

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(
      strings = {
        "emoji-captions",
        "homogeneous",
        "colocated",
        "non-colocated",
        "mixed",
        "long-context",
        "emoji-spoken"
      })
  void oneStep_communicatesWhatTheLayoutSays(String example) throws IOException {
    RunConfig config = narrow(EXAMPLES.resolve(example + ".yaml"));
    TrainingData data = TrainingData.open(config);
    // The last step is followed by a checkpoint, so it is not the one that is counted.
    Path trace = folder.resolve("trace.json");
    new TrainingRun(config, data).train(null, STEP + 1, step -> {}, trace);

    int ranks = config.parallel().ranks();
    List<StepTraffic> measured = StepTraffic.ofTrace(Files.readString(trace), STEP, ranks);
    List<StepTraffic> expected = ExpectedTraffic.of(config, data, STEP);
    for (int rank = 0; rank < ranks; rank++) {
      assertThat(measured.get(rank).all())
          .as("rank %d", rank)
          .containsExactlyEntriesOf(expected.get(rank).all());
    }
  }

  private RunConfig narrow(Path file) throws IOException {
    List<String> sets = new ArrayList<>();
    RunConfig config = ConfigLoader.load(file, List.of());
    sets.add("output='" + folder.resolve("run") + "'");
    sets.add("model.vision.hiddenSize=" + 4 * config.model().vision().heads());
    sets.add("model.language.hiddenSize=" + 4 * config.model().language().heads());
    sets.add("model.projector.hiddenSize=10");
    if (config.model().audio() != null) {
      sets.add("model.audio.hiddenSize=" + 4 * config.model().audio().heads());
    }
    sets.add("train.globalBatch=16");
    return ConfigLoader.load(file, sets.stream().map(ConfigOverride::set).toList());
  }
}
