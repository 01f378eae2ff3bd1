package dev.heddle.jmh;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;

/**
 * Prints what collectives and messages between processes cost, ours beside the same operation of
 * the same MPI library called from C ({@code src/main/c/mpi_operations.c}): times, and ratios
 * formed in one run. {@code jmh/compare-communication} builds and runs it.
 *
 * <p>Two jobs, one of Java and one of C, stand by and take turns of a few operations each, so that
 * whatever else the machine does hits both; who does not have the turn sleeps. A ratio is formed
 * for each pair of turns, and the table tells the median; beside it the shortest turns, which a
 * busy machine disturbs least. Either side checks each result before it times.
 */
public final class MpiComparison {
  private static final long[] SIZES = {
    1L << 10, 16L << 10, 64L << 10, 1L << 20, 8L << 20, 64L << 20
  };

  // Turns that are not told: so many, and until ours have taken so long, since while the JIT
  // compiles,
  // its threads and two ranks that wait for each other share two cores.
  private static final int WARM_UP = 3;
  private static final double WARM_UP_MICROS = 1e6;

  /** About so many bytes are moved in a turn, in at least {@link #FEWEST} operations. */
  private static final long BYTES_IN_A_TURN = 16L << 20;

  private static final int FEWEST = 2;
  private static final int MOST = 1000;

  private MpiComparison() {}

  /** Arguments: the program in C, the number of processes, the number of turns. */
  public static void main(String[] arguments) {
    int ranks = Integer.parseInt(arguments[1]);
    int rounds = Integer.parseInt(arguments[2]);
    try (Job ours = new Job(ranks, java());
        Job inC = new Job(ranks, List.of(arguments[0]))) {
      System.out.printf(
          Locale.ROOT,
          "%n%d processes on one host, F32; %d turns each%n%n%-15s %12s | %11s %11s %7s | %11s %11s %7s%n",
          ranks,
          rounds,
          "over MPI",
          "bytes",
          "median us",
          "of C us",
          "ratio",
          "least us",
          "of C us",
          "ratio");
      for (MpiOperation operation : MpiOperation.values()) {
        for (long bytes : SIZES) {
          compare(operation, bytes, rounds, ours, inC);
        }
      }
    }
  }

  private static void compare(MpiOperation operation, long bytes, int rounds, Job ours, Job inC) {
    long count = Math.min(MOST, Math.max(FEWEST, BYTES_IN_A_TURN / bytes));
    String turn = operation.label() + " " + bytes + " " + count;
    double[] our = new double[rounds];
    double[] their = new double[rounds];
    double[] ratios = new double[rounds];
    double warm = 0;
    for (int i = 0; i < WARM_UP || warm < WARM_UP_MICROS; i++) {
      warm += count * ours.take(turn);
      double unused = inC.take(turn);
    }
    for (int round = 0; round < rounds; round++) {
      our[round] = ours.take(turn);
      their[round] = inC.take(turn);
      ratios[round] = our[round] / their[round];
    }
    System.out.printf(
        Locale.ROOT,
        "%-15s %,12d | %11.1f %11.1f %7.2f | %11.1f %11.1f %7.2f%n",
        operation.label(),
        bytes,
        median(our),
        median(their),
        median(ratios),
        least(our),
        least(their),
        least(our) / least(their));
  }

  private static List<String> java() {
    return List.of(
        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
        "-XX:+UseSerialGC",
        // As the launcher has it for training, and touched before it is measured: else an operation
        // pays for the pages that its objects are the first to lie in.
        "-XX:MaxNewSize=24m",
        "-XX:+UseCondCardMark",
        "-XX:+AlwaysPreTouch",
        "-Xmx1g",
        "--add-modules=jdk.incubator.vector",
        "--enable-native-access=ALL-UNNAMED",
        "-Dheddle.leaks=off",
        "-cp",
        System.getProperty("java.class.path"),
        MpiOperationWorker.class.getName());
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int middle = sorted.length / 2;
    return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  }

  private static double least(double[] values) {
    return Arrays.stream(values).min().orElseThrow();
  }

  /** Processes that stand by for turns. */
  private static final class Job implements AutoCloseable {
    private static final String ANSWER = "MICROS ";

    private final List<String> command = new ArrayList<>();
    private final Process process;
    private final BufferedWriter commands;
    private final BufferedReader answers;

    Job(int ranks, List<String> program) {
      command.add("mpirun");
      if ("root".equals(System.getProperty("user.name"))) {
        command.add("--allow-run-as-root");
      }
      command.addAll(List.of("--oversubscribe", "--bind-to", "none", "-n", "" + ranks));
      command.addAll(program);
      try {
        process =
            new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
      } catch (IOException e) {
        throw new UncheckedIOException("starting " + command, e);
      }
      commands = process.outputWriter();
      answers = process.inputReader();
    }

    /** Microseconds of an operation. */
    double take(String turn) {
      try {
        commands.write(turn);
        commands.newLine();
        commands.flush();
        String line = answers.readLine();
        while (line != null && !line.startsWith(ANSWER)) {
          line = answers.readLine();
        }
        if (line == null) {
          int exitCode = process.waitFor();
          throw new IOException("the job ended with " + exitCode + "; its messages are above");
        }
        return Double.parseDouble(line.substring(ANSWER.length()));
      } catch (IOException e) {
        throw new UncheckedIOException(command + " at " + turn, e);
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new IllegalStateException(command + " at " + turn + ": interrupted", e);
      }
    }

    /** Ends the job, by force if it does not within seconds. */
    @Override
    public void close() {
      try {
        commands.close();
        if (!process.waitFor(20, TimeUnit.SECONDS)) {
          process.destroyForcibly();
        }
      } catch (IOException e) {
        process.destroyForcibly();
      } catch (InterruptedException e) {
        process.destroyForcibly();
        Thread.currentThread().interrupt();
      }
    }
  }
}
