package dev.heddle.parallel.comm.mpi;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/** A job of Java processes that {@code mpirun} starts from a test, with the test's class path. */
public final class MpiJob {
  private final int processes;
  private final List<String> flags = new ArrayList<>();
  private final List<String> options = new ArrayList<>();
  private static final Duration LIMIT = Duration.ofMinutes(10);

  /** What a job came to: what all its processes printed, and its exit code. */
  public record Result(int exitCode, String output, Duration time) {}

  /** A job of so many processes; skips the test if there is no {@code mpirun}. */
  public MpiJob(int processes) {
    Assumptions.assumeTrue(
        mpirun().isPresent(),
        "no mpirun on PATH; install Open MPI to run this test (Debian, Ubuntu: apt-get install"
            + " openmpi-bin libopenmpi-dev)");
    this.processes = processes;
  }

  private static Optional<Path> mpirun() {
    return Arrays.stream(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator))
        .map(folder -> Path.of(folder, "mpirun"))
        .filter(Files::isExecutable)
        .findFirst();
  }

  /** Adds a flag for each process's JVM. */
  public MpiJob flag(String flag) {
    flags.add(flag);
    return this;
  }

  /** Adds options for {@code mpirun}. */
  public MpiJob option(String... words) {
    options.addAll(List.of(words));
    return this;
  }

  /** The command that starts the job; after it come the main class and its arguments. */
  private List<String> command() {
    List<String> command = new ArrayList<>(List.of(mpirun().orElseThrow().toString()));
    if ("root".equals(System.getProperty("user.name"))) {
      command.add("--allow-run-as-root");
    }
    command.addAll(List.of("--oversubscribe", "--bind-to", "none", "-n", "" + processes));
    command.addAll(options);
    command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    // Short lives on few cores: the second compiler would take more time than it gives.
    command.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m"));
    command.addAll(
        List.of("--add-modules", "jdk.incubator.vector", "--enable-native-access=ALL-UNNAMED"));
    command.add("-Dheddle.leaks=paranoid");
    command.addAll(flags);
    command.addAll(List.of("-cp", classPath()));
    return command;
  }

  private static String classPath() {
    // Surefire's own class path is a jar that only names the others.
    return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
  }

  /** Runs a class's main method in every process, to the end of all. */
  public Result run(Class<?> main, String... arguments) throws IOException, InterruptedException {
    return run(main.getName(), arguments);
  }

  /** Runs the main method of the class of that name in every process, to the end of all. */
  public Result run(String main, String... arguments) throws IOException, InterruptedException {
    List<String> command = command();
    command.add(main);
    command.addAll(List.of(arguments));
    Path output = Files.createTempFile("mpi-job", ".txt");
    try {
      long start = System.nanoTime();
      ProcessBuilder builder =
          new ProcessBuilder(command)
              .redirectErrorStream(true)
              .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null")))
              .redirectOutput(output.toFile());
      // A job inside a job would take the outer one's place in it.
      Map<String, String> variables = builder.environment();
      variables.keySet().removeIf(name -> name.startsWith("OMPI_") || name.startsWith("PMIX_"));
      Process process = builder.start();
      boolean ended = process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS);
      if (!ended) {
        process.descendants().forEach(ProcessHandle::destroyForcibly);
        process.destroyForcibly();
      }
      Duration time = Duration.ofNanos(System.nanoTime() - start);
      String text = Files.readString(output, StandardCharsets.UTF_8);
      if (!ended) {
        throw new AssertionError("the job did not end within " + LIMIT + ":\n" + text);
      }
      return new Result(process.exitValue(), text, time);
    } finally {
      Files.delete(output);
    }
  }
}
