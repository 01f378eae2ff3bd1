package dev.heddle.train.report;

import java.io.PrintStream;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Says how far a run is. On a terminal one line that renews itself; elsewhere, such as in a log
 * file, a plain line now and then.
 */
public final class ProgressLine implements AutoCloseable {
  private static final int BAR = 20;
  private static final long RENEW_NANOS = 100_000_000L;
  private static final long PLAIN_NANOS = 30_000_000_000L;
  private static final int PLAIN_LINES = 20;

  private final PrintStream out;
  private final boolean terminal;
  private final long lastStep;
  private final LongSupplier nanoTime;
  private double secondsPerStep;
  private long steps;
  private long shownAt;
  private boolean onLine;

  /**
   * A progress line.
   *
   * @param out where it is written
   * @param terminal whether a line can renew itself there; see {@link #isTerminal}
   * @param lastStep the step that the run ends with
   */
  public ProgressLine(PrintStream out, boolean terminal, long lastStep) {
    this(out, terminal, lastStep, System::nanoTime);
  }

  ProgressLine(PrintStream out, boolean terminal, long lastStep, LongSupplier nanoTime) {
    this.out = out;
    this.terminal = terminal;
    this.lastStep = lastStep;
    this.nanoTime = nanoTime;
  }

  /** Whether the program's output is a terminal that understands control characters. */
  @SuppressWarnings("SystemConsoleNull") // JDK 25 has gone back to null where there is none.
  public static boolean isTerminal() {
    return System.console() != null
        && System.console().isTerminal()
        && !"dumb".equals(System.getenv("TERM"));
  }

  /** Takes a finished step into account and shows it when it is time. */
  public void update(StepMetrics metrics) {
    steps++;
    // The first step also warms up, so it must not weigh on the estimate for long.
    double weight = steps <= 2 ? 1 : Math.max(0.05, 1.0 / steps);
    secondsPerStep += weight * (metrics.seconds() - secondsPerStep);
    long now = nanoTime.getAsLong();
    boolean firstOrLast = steps == 1 || metrics.step() >= lastStep;
    boolean due =
        terminal
            ? now - shownAt >= RENEW_NANOS
            : metrics.step() % Math.max(1, lastStep / PLAIN_LINES) == 0
                || now - shownAt >= PLAIN_NANOS;
    if (!due && !firstOrLast) {
      return;
    }
    shownAt = now;
    String text = text(metrics);
    if (terminal) {
      // Back to the line's start, the text, and whatever is left of a longer one deleted.
      out.print("\r" + bar(metrics.step()) + text + "\u001b[K");
      onLine = true;
    } else {
      out.println(text);
    }
    out.flush();
  }

  /** Writes a line of its own above the progress line. */
  public void println(String line) {
    if (onLine) {
      out.print("\r\u001b[K");
      onLine = false;
    }
    out.println(line);
    out.flush();
  }

  /** Ends the line. */
  @Override
  public void close() {
    if (onLine) {
      out.println();
      out.flush();
      onLine = false;
    }
  }

  private String bar(long step) {
    int full = Math.clamp(BAR * step / Math.max(1, lastStep), 0, BAR);
    return "[" + "#".repeat(full) + ".".repeat(BAR - full) + "] ";
  }

  private String text(StepMetrics metrics) {
    int width = Long.toString(lastStep).length();
    String step = String.format(Locale.ROOT, "%" + width + "d/%d", metrics.step(), lastStep);
    double left = Math.max(0, lastStep - metrics.step()) * secondsPerStep;
    return String.format(
        Locale.ROOT,
        "step %s  loss %.4f  %,.0f tokens/s  %s left",
        step,
        metrics.loss(),
        metrics.tokensPerSecond(),
        duration(left));
  }

  /** A time as people say it: {@code 42s}, {@code 3m 07s}, {@code 2h 05m}. */
  public static String duration(double seconds) {
    long whole = Math.round(seconds);
    if (whole < 60) {
      return whole + "s";
    }
    return whole < 3600
        ? "%dm %02ds".formatted(whole / 60, whole % 60)
        : "%dh %02dm".formatted(whole / 3600, whole / 60 % 60);
  }
}
