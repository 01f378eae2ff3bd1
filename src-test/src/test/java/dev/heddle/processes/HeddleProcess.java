package dev.heddle.processes;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/**
 * Runs the {@code heddle} command, or another main class, with this test's class path, in one
 * process or in several.
 */
public final class HeddleProcess {
  private static final String HEDDLE = "dev.heddle.train.cli.Main";
  private static final long LIMIT_SECONDS = 600;

  /** What it came to: what all processes printed, and the exit code. */
  public record Result(int exitCode, String output) {}

  private HeddleProcess() {}

  private static Optional<Path> mpirun() {
    return Arrays.stream(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
        .map(folder -> Path.of(folder, "mpirun"))
        .filter(Files::isExecutable)
        .findFirst();
  }

  /** One process. */
  static Result run(String... words) throws IOException, InterruptedException {
    return start(List.of(), HEDDLE, words);
  }

  /** So many processes; skips the test if there is no {@code mpirun}. */
  static Result runIn(int processes, String... words) throws IOException, InterruptedException {
    return runMainIn(processes, HEDDLE, words);
  }

  /**
   * The main class of that name in so many processes; skips the test if there is no {@code mpirun}.
   */
  public static Result runMainIn(int processes, String main, String... words)
      throws IOException, InterruptedException {
    Assumptions.assumeTrue(
        mpirun().isPresent(),
        "no mpirun on PATH; install Open MPI to run this test (Debian, Ubuntu: apt-get install"
            + " openmpi-bin libopenmpi-dev)");
    List<String> before = new ArrayList<>(List.of(mpirun().orElseThrow().toString()));
    if ("root".equals(System.getProperty("user.name"))) {
      before.add("--allow-run-as-root");
    }
    before.addAll(List.of("--oversubscribe", "--bind-to", "none", "-n", "" + processes));
    return start(before, main, words);
  }

  private static Result start(List<String> before, String main, String... words)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(before);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m"));
    command.addAll(
        List.of("--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"));
    // Surefire's own class path is a jar that only names the others.
    command.addAll(
        List.of(
            "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"))));
    command.add(main);
    command.addAll(List.of(words));
    Path output = Files.createTempFile("heddle", ".txt");
    try {
      Process process =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")))
              .redirectOutput(output.toFile())
              .start();
      if (!process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS)) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
        throw new AssertionError("did not end:\n" + Files.readString(output));
      }
      return new Result(process.exitValue(), Files.readString(output));
    } finally {
      Files.delete(output);
    }
  }
}
