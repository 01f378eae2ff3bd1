package dev.heddle.jmh;

import com.sun.management.OperatingSystemMXBean;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * How a process that trains is led: it reads {@code step} lines and answers each with one {@code
 * STEP} line once the step is done, so that it rests while another side runs. The end of its input
 * ends it.
 */
public final class StepProtocol {
  /** One training step. */
  @FunctionalInterface
  public interface Step {
    /** Runs it and returns the loss before the update. */
    double run();
  }

  static final String READY = "READY ";
  static final String STEP = "step";
  static final String MEMORY = "memory";

  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
  private static final OperatingSystemMXBean PROCESS =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private StepProtocol() {}

  /**
   * What one step cost.
   *
   * @param wallMillis elapsed time
   * @param cpuMillis time that the leading thread had a core
   * @param processMillis time that all threads had cores, waiting at barriers included
   * @param optimizerMillis of it the update: elapsed, or with one thread its CPU time
   * @param loss before the update
   */
  public record Cost(
      double wallMillis,
      double cpuMillis,
      double processMillis,
      double optimizerMillis,
      double loss) {
    static final String TAG = "STEP ";

    String line() {
      return String.format(
          Locale.ROOT,
          "%s%.4f %.4f %.4f %.4f %.9f",
          TAG,
          wallMillis,
          cpuMillis,
          processMillis,
          optimizerMillis,
          loss);
    }

    static Cost parse(String text) {
      String[] words = text.split(" ");
      return new Cost(
          Double.parseDouble(words[0]),
          Double.parseDouble(words[1]),
          Double.parseDouble(words[2]),
          Double.parseDouble(words[3]),
          Double.parseDouble(words[4]));
    }
  }

  /**
   * The most memory a process used.
   *
   * @param residentMebibytes in main memory, MiB
   * @param poolMebibytes live in our pool, MiB; 0 for a side that has none
   */
  public record Memory(double residentMebibytes, double poolMebibytes) {
    static final String TAG = "MEMORY ";

    String line() {
      return String.format(Locale.ROOT, "%s%.1f %.1f", TAG, residentMebibytes, poolMebibytes);
    }

    static Memory parse(String text) {
      String[] words = text.split(" ");
      return new Memory(Double.parseDouble(words[0]), Double.parseDouble(words[1]));
    }
  }

  /**
   * Serves standard input until its end.
   *
   * @param about printed first: what this side is
   * @param step the training step
   * @param optimizerNanos what the last step's update took
   * @param poolBytes peak of live bytes in our pool; 0 where there is none
   */
  public static void serve(
      String about, Step step, LongSupplier optimizerNanos, LongSupplier poolBytes)
      throws IOException {
    System.out.println(READY + about);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      switch (line) {
        case STEP -> {
          long process = PROCESS.getProcessCpuTime();
          long cpu = THREADS.getCurrentThreadCpuTime();
          long wall = System.nanoTime();
          double loss = step.run();
          double wallMillis = (System.nanoTime() - wall) * 1e-6;
          double cpuMillis = (THREADS.getCurrentThreadCpuTime() - cpu) * 1e-6;
          double processMillis = (PROCESS.getProcessCpuTime() - process) * 1e-6;
          double update = optimizerNanos.getAsLong() * 1e-6;
          System.out.println(new Cost(wallMillis, cpuMillis, processMillis, update, loss).line());
        }
        case MEMORY ->
            System.out.println(
                new Memory(peakResidentBytes() / 0x1p20, poolBytes.getAsLong() / 0x1p20).line());
        default -> throw new IllegalArgumentException("StepProtocol: got \"" + line + "\"");
      }
    }
  }

  /** The kernel's high-water mark of this process's resident memory; 0 where it is not told. */
  private static double peakResidentBytes() throws IOException {
    Path status = Path.of("/proc/self/status");
    if (Files.exists(status)) {
      for (String line : Files.readAllLines(status)) {
        if (line.startsWith("VmHWM:")) {
          return 1024 * Double.parseDouble(line.replaceAll("[^0-9]", ""));
        }
      }
    }
    return 0;
  }
}
