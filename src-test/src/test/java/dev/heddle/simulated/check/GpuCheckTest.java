package dev.heddle.simulated.check;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.jmh.gpu.GpuCheck;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import dev.heddle.simulated.nccl.SimulatedNccl;
import dev.heddle.train.json.Json;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code jmh/check-gpu} runs, in tiny sizes, on simulated GPUs. */
class GpuCheckTest {
  private static final SimulatedOptions OPTIONS =
      SimulatedOptions.lazily().withMemoryBytes(1L << 30);

  private final ByteArrayOutputStream out = new ByteArrayOutputStream();
  private final ByteArrayOutputStream err = new ByteArrayOutputStream();

  @TempDir private Path folder;

  private int check(String... more) {
    List<String> arguments =
        new ArrayList<>(
            List.of("--tiny", "--root", "..", "--commit", "c0ffee", "--output", folder.toString()));
    // No Python of that name: PyTorch is absent whatever the machine has.
    arguments.addAll(List.of("--python", "no-such-python"));
    arguments.addAll(List.of(more));
    return GpuCheck.run(print(out), print(err), arguments.toArray(String[]::new));
  }

  private static PrintStream print(ByteArrayOutputStream bytes) {
    return new PrintStream(bytes, true, StandardCharsets.UTF_8);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.toList();
    }
  }

  private Map<String, @Nullable Object> file() throws IOException {
    assertThat(files()).hasSize(1);
    Path file = files().getFirst();
    assertThat(file.getFileName().toString())
        .matches("gpu-check-\\d{4}-\\d\\d-\\d\\d-simulated-gpu\\.json");
    return Json.parseObject(Files.readString(file));
  }

  private static List<Map<String, @Nullable Object>> rows(@Nullable Object list, String name) {
    return Json.list(list, name).stream().map(row -> Json.object(row, name)).toList();
  }

  @Test
  void twoSimulatedGpus_everyPartIsRightAndInTheFile() throws IOException {
    int status;
    try (SimulatedGpus gpus = SimulatedGpus.install(2, OPTIONS);
        NativeLibrary.Substitution cublas = SimulatedCublas.install();
        SimulatedNccl nccl = SimulatedNccl.install()) {
      status = check();
    }
    String text = out.toString(StandardCharsets.UTF_8);
    assertThat(text)
        .contains("SIMULATED: this GPU is a test double")
        .contains("Everything that ran is right.")
        .contains("no-such-python does not start: nothing to compare with")
        .contains("gemm bf16 32")
        .doesNotContain("WRONG")
        .doesNotContain("FAILED");
    assertThat(status).isZero();

    Map<String, @Nullable Object> file = file();
    assertThat(file)
        .containsEntry("gpu", "Simulated GPU")
        .containsEntry("simulated", true)
        .containsEntry("right", true)
        .containsEntry("failures", List.of());
    assertThat(Json.object(file.get("facts"), "facts"))
        .containsEntry("Heddle", "c0ffee")
        .containsKeys("JDK", "cuda:0", "cuda:1", "peak f32");
    assertThat(rows(file.get("kernels"), "kernels"))
        .extracting(row -> row.get("dtype"))
        .containsExactly("F32", "BF16", "F64");
    assertThat(rows(file.get("kernels"), "kernels"))
        .allSatisfy(row -> assertThat(Json.whole(row.get("passed"), "passed")).isGreaterThan(9));
    assertThat(rows(file.get("losses"), "losses"))
        .extracting(row -> row.get("exchange") + " " + row.get("graph"))
        .containsExactly(
            "none false", "none true", "NCCL false", "NCCL true", "NCCL false", "NCCL true");
    List<Map<String, @Nullable Object>> figures = rows(file.get("figures"), "figures");
    assertThat(figures)
        .allSatisfy(
            figure -> {
              assertThat(figure).containsEntry("simulated", true).containsEntry("ratio", null);
              assertThat(Json.number(figure.get("seconds"), "seconds")).isPositive();
              assertThat(Json.number(figure.get("value"), "value")).isPositive().isFinite();
            });
    assertThat(figures).extracting(figure -> figure.get("name")).doesNotHaveDuplicates();
    assertThat(figures)
        .extracting(figure -> figure.get("kind"))
        .contains(
            "gemm",
            "attention",
            "attention_backward",
            "copy",
            "layer_norm_backward",
            "adamw",
            "gpt_step",
            "vit_step",
            "caption_step",
            "peer_copy",
            "all_reduce",
            "boundary_forward",
            "boundary_backward");
  }

  @Test
  void oneSimulatedGpu_saysWhatItCannotShow() throws IOException {
    int status;
    try (SimulatedGpus gpus = SimulatedGpus.install(1, OPTIONS);
        NativeLibrary.Substitution cublas = SimulatedCublas.install()) {
      status = check();
    }
    assertThat(out.toString(StandardCharsets.UTF_8))
        .contains("not measured: collectives and boundaries: there is one GPU");
    assertThat(status).isZero();
    Map<String, @Nullable Object> file = file();
    assertThat(file)
        .containsEntry("not_measured", List.of("collectives and boundaries: there is one GPU"));
    assertThat(rows(file.get("losses"), "losses"))
        .extracting(row -> row.get("exchange") + " " + row.get("graph"))
        .containsExactly(
            "none false",
            "none true",
            "main memory false",
            "main memory true",
            "main memory false",
            "main memory true");
  }

  @Test
  void driverWithoutGpu_saysWhatToDoAndWritesNothing() throws IOException {
    try (SimulatedGpus gpus = SimulatedGpus.install(0, OPTIONS)) {
      assertThat(check()).isEqualTo(1);
    }
    assertThat(err.toString(StandardCharsets.UTF_8))
        .contains("check-gpu: the CUDA driver is ")
        .contains("CUDA_ERROR_NO_DEVICE")
        .contains("nvidia-smi");
    assertThat(files()).isEmpty();
  }

  @Test
  void unknownOption_isRefusedWithTheUsage() throws IOException {
    assertThat(check("--fast", "1")).isEqualTo(2);
    assertThat(err.toString(StandardCharsets.UTF_8))
        .contains("--fast: no such option")
        .contains("usage: jmh/check-gpu");
    assertThat(files()).isEmpty();
  }
}
