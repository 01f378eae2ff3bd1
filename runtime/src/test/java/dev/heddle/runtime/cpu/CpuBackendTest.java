package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What runs when something is missing: forked JVMs with and without it. */
class CpuBackendTest {
  /** Computes a little on two devices and prints the kernels and a checksum. */
  public static final class Program {
    private Program() {}

    /** Argument: the backend. */
    public static void main(String[] arguments) {
      for (int i = 0; i < 2; i++) {
        try (CpuDevice device = CpuDevice.open("cpu:" + i, 1, CpuBackend.valueOf(arguments[0]));
            MemoryScope scope = MemoryScope.open()) {
          NDArray x = NDArray.full(device, DType.F32, Shape.of(4, 3), 0.5);
          NDArray w = NDArray.full(device, DType.F32, Shape.of(2, 3), 2);
          NDArray y = NDArray.empty(device, DType.F32, 4, 2);
          x.kernels().linear(x, w, null, UnaryOperation.RELU, y, null);
          System.out.println("KERNELS " + device.kernels(DType.F32).name());
          System.out.println("Y " + Arrays.toString(y.toDoubles()));
        }
      }
    }
  }

  private static List<String> run(CpuBackend backend, String... flags)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>();
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of(flags));
    command.addAll(
        List.of(
            "--enable-native-access=ALL-UNNAMED",
            "-cp",
            System.getProperty("java.class.path"),
            Program.class.getName(),
            backend.name()));
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    List<String> lines = process.inputReader().lines().toList();
    process.waitFor();
    return lines;
  }

  private static final String RESULT = "Y [3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]";

  @Test
  void best_withoutTheVectorApi_runsOnReferenceKernelsAndNamesTheFlagOnce() throws Exception {
    List<String> lines = run(CpuBackend.BEST);

    assertThat(lines).contains("KERNELS reference", RESULT);
    assertThat(lines)
        .filteredOn(line -> line.contains("pass --add-modules jdk.incubator.vector"))
        .hasSize(1);
  }

  @Test
  void best_withoutOneDnn_runsProductsInJavaAndNamesTheArtifactOnce() throws Exception {
    List<String> lines =
        run(
            CpuBackend.BEST,
            "--add-modules=jdk.incubator.vector",
            "-Dheddle.onednn=off",
            "-Dheddle.machineCode=off");

    assertThat(lines).contains(RESULT).anyMatch(line -> line.contains("Vector API products"));
    assertThat(lines).filteredOn(line -> line.contains("org.bytedeco:dnnl")).hasSize(1);
  }

  @Test
  void best_withoutOneDnnButWithAvx512_runsProductsByMachineCode() throws Exception {
    assumeTrue(CpuBackend.hasMachineCode(), "this is not Linux on a processor with AVX-512");
    List<String> lines =
        run(CpuBackend.BEST, "--add-modules=jdk.incubator.vector", "-Dheddle.onednn=off");

    assertThat(lines).contains(RESULT).anyMatch(line -> line.contains("machine code products"));
  }

  @Test
  void oneDnn_runsNoMachineCodeOfOurOwn() {
    try (CpuDevice device = CpuDevice.open("cpu:library", 1, CpuBackend.ONEDNN)) {
      assertThat(device.kernels(DType.F32).name()).doesNotContain("machine code");
    }
  }

  @Test
  void vector_withoutTheVectorApi_isRefusedWithTheFlag() throws Exception {
    assertThat(run(CpuBackend.VECTOR))
        .anyMatch(
            line ->
                line.contains("CpuBackend.VECTOR: this JVM was started without the Vector API")
                    && line.contains("--add-modules jdk.incubator.vector"));
  }

  @Test
  void versions_areThoseOfWhatRuns() {
    assertThat(CpuBackend.hasVectorApi()).isTrue();
    assertThat(CpuBackend.vectorBits()).isIn(64, 128, 256, 512);
    assertThat(CpuBackend.oneDnnVersion().orElse("3.0.0")).matches("\\d+\\.\\d+\\.\\d+");
    assertThatThrownBy(() -> CpuBackend.valueOf("FASTEST"))
        .isInstanceOf(IllegalArgumentException.class);
  }
}
