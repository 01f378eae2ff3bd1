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

/**
 * How a process that trains is led by {@link StepComparison}: it reads {@code step} lines and
 * answers each with one {@code STEP} line once the step is done, so that it rests while the other
 * side runs. Lines that it prints besides are passed over.
 */
public final class StepProtocol {
  /** One training step. */
  @FunctionalInterface
  public interface Step {
    /** Runs it and returns the loss before the update. */
    double run();
  }

  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
  private static final OperatingSystemMXBean PROCESS =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private StepProtocol() {}

  /** What one step cost: elapsed time, CPU time of the leading thread and of all threads. */
  record Cost(double wallMillis, double cpuMillis, double processMillis, double loss) {
    private static final String TAG = "STEP ";

    String line() {
      return String.format(
          Locale.ROOT, "%s%.4f %.4f %.4f %.9f", TAG, wallMillis, cpuMillis, processMillis, loss);
    }

    static boolean is(String line) {
      return line.startsWith(TAG);
    }

    static Cost parse(String line) {
      String[] words = line.substring(TAG.length()).split(" ");
      return new Cost(
          Double.parseDouble(words[0]),
          Double.parseDouble(words[1]),
          Double.parseDouble(words[2]),
          Double.parseDouble(words[3]));
    }
  }

  /** The most memory a process used, in MiB: resident, and live in our pool (0: has none). */
  record Memory(double residentMebibytes, double poolMebibytes) {
    private static final String TAG = "MEMORY ";

    String line() {
      return String.format(Locale.ROOT, "%s%.1f %.1f", TAG, residentMebibytes, poolMebibytes);
    }

    static boolean is(String line) {
      return line.startsWith(TAG);
    }

    static Memory parse(String line) {
      String[] words = line.substring(TAG.length()).split(" ");
      return new Memory(Double.parseDouble(words[0]), Double.parseDouble(words[1]));
    }
  }

  /**
   * Serves standard input until {@code quit} or its end.
   *
   * @param about printed first: what this side is
   * @param step the training step
   * @param poolBytes peak of live bytes in our pool; 0 where there is none
   */
  public static void serve(String about, Step step, java.util.function.LongSupplier poolBytes)
      throws IOException {
    System.out.println("READY " + about);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      switch (line) {
        case "step" -> {
          long process = PROCESS.getProcessCpuTime();
          long cpu = THREADS.getCurrentThreadCpuTime();
          long wall = System.nanoTime();
          double loss = step.run();
          double wallMillis = (System.nanoTime() - wall) * 1e-6;
          double cpuMillis = (THREADS.getCurrentThreadCpuTime() - cpu) * 1e-6;
          double processMillis = (PROCESS.getProcessCpuTime() - process) * 1e-6;
          System.out.println(new Cost(wallMillis, cpuMillis, processMillis, loss).line());
        }
        case "memory" ->
            System.out.println(
                new Memory(peakResidentBytes() / 0x1p20, poolBytes.getAsLong() / 0x1p20).line());
        case "quit" -> {
          return;
        }
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
