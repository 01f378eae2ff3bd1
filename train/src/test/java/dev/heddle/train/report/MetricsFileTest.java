package dev.heddle.train.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.train.json.Json;
import dev.heddle.train.json.JsonException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MetricsFileTest {
  @TempDir Path folder;

  private static StepMetrics step(long step) {
    return new StepMetrics(step, 1.0 / 3 + step, 100, Math.PI, 1e-3 / 3, 0.125, 1L << 40);
  }

  @Test
  void add_writesALineThatIsThereAtOnceWithEveryDigit() throws IOException {
    Path path = folder.resolve("new/metrics.jsonl");
    try (MetricsFile file = MetricsFile.create(path)) {
      file.add(step(1));
      assertThat(Files.readAllLines(path)).hasSize(1);
      file.add(step(2));
      assertThat(MetricsFile.read(path)).containsExactly(step(1), step(2));
    }
    assertThat(Json.parseObject(Files.readAllLines(path).getFirst()))
        .containsOnlyKeys(
            "step",
            "loss",
            "tokens",
            "grad_norm",
            "learning_rate",
            "seconds",
            "tokens_per_second",
            "peak_bytes")
        .containsEntry("step", 1L)
        .containsEntry("loss", 1.0 / 3 + 1)
        .containsEntry("tokens_per_second", 800.0)
        .containsEntry("peak_bytes", 1L << 40);
  }

  @Test
  void toJson_lossThatIsNotANumber_isStillJson() {
    StepMetrics broken = new StepMetrics(1, Double.NaN, 1, Double.POSITIVE_INFINITY, 0, 1, 0);
    assertThat(broken.toJson()).contains("\"loss\":null,", "\"grad_norm\":null,");
    assertThat(StepMetrics.parse(broken.toJson()).loss()).isNaN();
  }

  @Test
  void resume_dropsLaterStepsAndAHalfWrittenLine() throws IOException {
    Path path = folder.resolve("metrics.jsonl");
    Files.writeString(
        path,
        step(1).toJson()
            + "\n"
            + step(2).toJson()
            + "\n"
            + step(3).toJson()
            + "\n{\"step\":4,\"lo");
    try (MetricsFile file = MetricsFile.resume(path, 2)) {
      file.add(step(3));
    }
    assertThat(MetricsFile.read(path)).extracting(StepMetrics::step).containsExactly(1L, 2L, 3L);
    try (MetricsFile file = MetricsFile.resume(folder.resolve("absent.jsonl"), 2)) {
      file.add(step(3));
    }
    assertThat(MetricsFile.read(folder.resolve("absent.jsonl"))).hasSize(1);
  }

  @Test
  void read_aLineThatIsNotMetrics_namesFileAndLine() throws IOException {
    Path path = folder.resolve("metrics.jsonl");
    Files.writeString(path, step(1).toJson() + "\n{\"step\":\"two\"}\n");
    assertThatThrownBy(() -> MetricsFile.read(path))
        .isInstanceOf(JsonException.class)
        .hasMessage(path + ":2: step is the text 'two', not a whole number");
    assertThatThrownBy(() -> MetricsFile.read(folder.resolve("none")))
        .isInstanceOf(UncheckedIOException.class)
        .hasMessageContaining(folder.resolve("none") + ": metrics cannot be read");
    assertThat(List.of(folder.toFile().list())).containsExactly("metrics.jsonl");
  }
}
