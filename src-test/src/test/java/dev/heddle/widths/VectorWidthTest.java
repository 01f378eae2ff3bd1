package dev.heddle.widths;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.heddle.runtime.cpu.CpuBackend;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The kernels of the processor with the vectors of other machines: 128 bits as on ARM and old x86,
 * 256 as on AVX2; this machine's own width is that of all other tests. A JVM that is held to a
 * width chooses what it would choose there: another species, and with it other tiles, tails and
 * chunks. Likewise the kernels of a machine that oneDNN is not there for.
 */
class VectorWidthTest {
  private static final List<String> SUITES =
      List.of(
          "dev.heddle.runtime.cpu.VectorKernelsConformanceTest",
          "dev.heddle.runtime.cpu.BestKernelsConformanceTest",
          "dev.heddle.runtime.cpu.Bf16KernelsConformanceTest",
          "dev.heddle.runtime.cpu.VectorAttentionTest",
          "dev.heddle.runtime.cpu.ErrorFunctionTest",
          "dev.heddle.runtime.cpu.RoundedProductsTest");

  @ParameterizedTest
  @ValueSource(ints = {128, 256})
  @Timeout(value = 5, unit = TimeUnit.MINUTES)
  void kernels_heldToAWidth_agreeWithTheReference(int bits)
      throws IOException, InterruptedException {
    assumeTrue(
        bits <= CpuBackend.vectorBits(),
        "this machine's vectors have fewer than " + bits + " bits");
    assertThat(run(bits)).containsPattern("BITS " + bits + ": [1-9][0-9]+ passed, 0 failed");
  }

  /** As on a machine that oneDNN has no artifact for: only what Heddle is itself. */
  @Test
  @Timeout(value = 5, unit = TimeUnit.MINUTES)
  void kernels_withoutOneDnn_agreeWithTheReference() throws IOException, InterruptedException {
    int bits = CpuBackend.vectorBits();
    assertThat(run(bits, "-Dheddle.onednn=off"))
        .containsPattern("BITS " + bits + ": [1-9][0-9]+ passed, 0 failed");
  }

  private static String run(int bits, String... flags) throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-Xmx1g",
                "-XX:MaxVectorSize=" + bits / Byte.SIZE,
                "--add-modules=jdk.incubator.vector",
                "--enable-native-access=ALL-UNNAMED",
                "-cp",
                System.getProperty("java.class.path")));
    command.addAll(List.of(flags));
    // Without one the suites draw what they draw in every other run.
    String seed = System.getProperty("heddle.seed");
    if (seed != null) {
      command.add("-Dheddle.seed=" + seed);
    }
    command.add(VectorWidthMain.class.getName());
    command.addAll(SUITES);
    Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
    try {
      String output = String.join("\n", process.inputReader().lines().toList());
      assertThat(process.waitFor()).as(output).isZero();
      return output;
    } finally {
      process.destroyForcibly();
    }
  }
}
