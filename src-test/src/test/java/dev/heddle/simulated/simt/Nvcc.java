package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxModule;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Assumptions;

/** The CUDA compiler, where there is one on the path. */
final class Nvcc {
  private static final Map<List<String>, PtxModule> COMPILED = new HashMap<>();

  private Nvcc() {}

  /**
   * The kernels of kernels.cu compiled for an architecture (75 is {@code compute_75}), once a JVM;
   * the test is skipped without nvcc.
   */
  static synchronized PtxModule kernels(int architecture, String... options)
      throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(List.of("nvcc", "-ptx", "-w", "-arch=compute_" + architecture));
    command.addAll(List.of(options));
    PtxModule module = COMPILED.get(command);
    if (module == null) {
      module = Simulator.load("kernels.cu for sm_" + architecture, compile(command));
      COMPILED.put(command, module);
    }
    return module;
  }

  private static String compile(List<String> command) throws IOException, InterruptedException {
    Path folder = Files.createTempDirectory("heddle-nvcc");
    Path source = folder.resolve("kernels.cu");
    Path output = folder.resolve("kernels.ptx");
    try (InputStream stream = Nvcc.class.getResourceAsStream("kernels.cu")) {
      Files.copy(stream, source);
      List<String> all = new ArrayList<>(command);
      all.addAll(List.of("-o", output.toString(), source.toString()));
      Process process;
      try {
        process = new ProcessBuilder(all).redirectErrorStream(true).start();
      } catch (IOException absent) {
        Assumptions.abort("nvcc is not on the path");
        throw absent;
      }
      String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
      if (process.waitFor() != 0) {
        throw new IllegalStateException(all + " failed: " + said);
      }
      return Files.readString(output);
    } finally {
      Files.deleteIfExists(source);
      Files.deleteIfExists(output);
      Files.deleteIfExists(folder);
    }
  }
}
