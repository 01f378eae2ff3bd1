package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The PTX that is checked in: that it is found, and that it is what sources and docs say. */
class PtxTest {
  private static final List<String> REAL_MODULES =
      List.of(
          "elementwise",
          "scatter",
          "reductions",
          "softmax",
          "norms",
          "rotary",
          "attention_32",
          "attention_64",
          "attention_128",
          "attention_delta",
          "updates");
  private static final List<String> OTHER_MODULES =
      List.of("movement", "steps", "attention_256_f32", "attention_256_bf16");
  private static final List<String> TENSOR_CORE_MODULES =
      List.of("attention_mma_32", "attention_mma_64", "attention_mma_128");

  private static Path root() {
    Path folder = Path.of("").toAbsolutePath();
    while (!Files.exists(folder.resolve(".ci/build-ptx"))) {
      folder = folder.getParent();
    }
    return folder;
  }

  private static Path checkedIn() {
    return root().resolve("runtime/src/main/resources/dev/heddle/runtime/cuda");
  }

  private static boolean has(String program, String version) throws Exception {
    try {
      Process process = new ProcessBuilder(program, "--version").redirectErrorStream(true).start();
      String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      return process.waitFor() == 0 && text.contains(version);
    } catch (IOException absent) {
      return false;
    }
  }

  private static String run(Path script, String... arguments) throws Exception {
    ProcessBuilder builder = new ProcessBuilder(script.toString());
    builder.command().addAll(List.of(arguments));
    Process process = builder.redirectError(ProcessBuilder.Redirect.INHERIT).start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(script + " ends well").isZero();
    return output;
  }

  private static List<String> modules() throws IOException {
    try (Stream<Path> files = Files.list(checkedIn())) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"f32", "bf16", "f64"})
  void everyModule_ofAType_isAResource(String type) {
    for (String module : REAL_MODULES) {
      assertThat(CudaPtx.text(module + "_" + type))
          .contains(".version 7.0\n.target sm_75\n.address_size 64\n");
    }
  }

  @Test
  void modulesOfAllTypes_areResources() {
    for (String module : OTHER_MODULES) {
      assertThat(CudaPtx.text(module)).contains(".version 7.0\n.target sm_75\n");
    }
    for (String module : TENSOR_CORE_MODULES) {
      assertThat(CudaPtx.text(module)).contains(".version 7.0\n.target sm_80\n");
    }
    assertThatThrownBy(() -> CudaPtx.text("nothing"))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "the kernels nothing.ptx are missing beside dev.heddle.runtime.cuda.CudaPtx: the jar of"
                + " heddle-runtime is incomplete; build it again");
  }

  /** What depends on where it was compiled, or would need the compiler's own run time. */
  @Test
  void everyModule_isFreeOfPathsAndCalls() throws IOException {
    assertThat(modules())
        .hasSize(3 * REAL_MODULES.size() + OTHER_MODULES.size() + TENSOR_CORE_MODULES.size());
    Pattern place = Pattern.compile("_INTERNAL_|\\.file\\s|\\.loc\\s|\\.extern");
    for (String module : modules()) {
      String text = Files.readString(checkedIn().resolve(module));
      assertThat(place.matcher(text).results().map(match -> match.group())).as(module).isEmpty();
    }
  }

  @Test
  void rebuilt_withTheSameCompiler_isByteForByteWhatIsCheckedIn(@TempDir Path folder)
      throws Exception {
    assumeTrue(has("nvcc", "release 13.0, V13.0.88"), "nvcc 13.0.88 is not on this machine");
    run(root().resolve(".ci/build-ptx"), folder.toString());
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files.map(file -> file.getFileName().toString()).sorted()).isEqualTo(modules());
    }
    for (String module : modules()) {
      assertThat(folder.resolve(module))
          .as(module)
          .hasSameBinaryContentAs(checkedIn().resolve(module));
    }
  }

  /** For compute capability 7.5, 8.0, 9.0, 10.0 and 12.0; the script fails if a register spills. */
  @Test
  void assembled_forEveryArchitecture_hasTheRegistersOfTheDocs() throws Exception {
    assumeTrue(has("ptxas", "release 13.0, V13.0.88"), "ptxas 13.0.88 is not on this machine");
    String table = run(root().resolve(".ci/ptxas-table"));
    System.out.println(table);
    assertThat(table).isEqualTo(Files.readString(root().resolve("docs/ptxas.md")));
  }
}
