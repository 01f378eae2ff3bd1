package dev.heddle.jmh;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * How a process that runs operators is led. {@code prepare NAME} makes the inputs of a {@link
 * BenchmarkedOperator}, runs it once and answers with {@link Prints} of what it computed; {@code
 * turn COUNT} runs it and answers with medians, {@code pass COUNT} likewise runs the plain pass
 * over memory that an update stands beside. The end of its input ends it.
 */
public final class OperatorProtocol {
  /** Begins the line that says a process is ready. */
  public static final String READY = "READY";

  private OperatorProtocol() {}

  /** One side's way to run an operator. */
  public interface Runner {
    /** Makes the inputs and computes once. */
    Prints prepare(BenchmarkedOperator operator);

    /** Runs it {@link BenchmarkedOperator#repeats()} times; nanoseconds of one. */
    Times once();

    /**
     * Reads and writes as many bytes as the update that was prepared; nanoseconds of one pass.
     *
     * @throws UnsupportedOperationException on a side without it
     */
    default Times pass() {
      throw new UnsupportedOperationException("no pass over memory on this side");
    }
  }

  /**
   * Nanoseconds of one run.
   *
   * @param forward with gradients recorded
   * @param backward of all inputs
   */
  public record Times(double forward, double backward) {
    static final String TAG = "NANOS ";

    String line() {
      return String.format(Locale.ROOT, "%s%.1f %.1f", TAG, forward, backward);
    }

    static Times parse(String text) {
      String[] words = text.split(" ");
      return new Times(Double.parseDouble(words[0]), Double.parseDouble(words[1]));
    }

    /** The medians, each by itself. */
    static Times median(List<Times> all) {
      return new Times(
          median(all.stream().mapToDouble(Times::forward).toArray()),
          median(all.stream().mapToDouble(Times::backward).toArray()));
    }

    private static double median(double[] values) {
      Arrays.sort(values);
      int middle = values.length / 2;
      return values.length % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
    }
  }

  /**
   * What was computed, in few numbers: of the value and of each input's gradient a sum with uneven
   * weights, and the sum of magnitudes that it is to be seen beside.
   */
  public record Prints(List<Double> sums, List<Double> magnitudes) {
    static final String TAG = "PRINTS ";

    /** None yet. */
    public Prints() {
      this(new ArrayList<>(), new ArrayList<>());
    }

    /** Adds an array. */
    public void add(float[] values) {
      double sum = 0;
      double magnitude = 0;
      for (int i = 0; i < values.length; i++) {
        sum += values[i] * (1 + i % 97 / 97.0);
        magnitude += Math.abs(values[i]);
      }
      sums.add(sum);
      magnitudes.add(magnitude);
    }

    /** The largest difference of two sides, relative to the magnitude; NaN if one is missing. */
    public double difference(Prints other) {
      if (sums.size() != other.sums.size()) {
        return Double.NaN;
      }
      double largest = 0;
      for (int i = 0; i < sums.size(); i++) {
        double magnitude = Math.max(Math.max(magnitudes.get(i), other.magnitudes.get(i)), 1e-30);
        double sums = Math.abs(this.sums.get(i) - other.sums.get(i)) / magnitude;
        double sizes = Math.abs(magnitudes.get(i) - other.magnitudes.get(i)) / magnitude;
        largest = Math.max(largest, Math.max(sums, sizes));
        if (Double.isNaN(sums)) {
          return Double.NaN;
        }
      }
      return largest;
    }

    String line() {
      StringBuilder line = new StringBuilder(TAG);
      for (int i = 0; i < sums.size(); i++) {
        line.append(sums.get(i)).append(' ').append(magnitudes.get(i)).append(' ');
      }
      return line.toString().strip();
    }

    static Prints parse(String text) {
      Prints prints = new Prints();
      String[] words = text.split(" ");
      for (int i = 0; i + 1 < words.length; i += 2) {
        prints.sums.add(Double.parseDouble(words[i]));
        prints.magnitudes.add(Double.parseDouble(words[i + 1]));
      }
      return prints;
    }
  }

  /** Serves standard input until its end. */
  public static void serve(Runner runner) throws IOException {
    System.out.println(READY);
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] words = line.split(" ");
      switch (words[0]) {
        case "prepare" ->
            System.out.println(runner.prepare(BenchmarkedOperator.valueOf(words[1])).line());
        case "turn", "pass" -> {
          List<Times> times = new ArrayList<>();
          for (int i = 0; i < Integer.parseInt(words[1]); i++) {
            times.add(words[0].equals("turn") ? runner.once() : runner.pass());
          }
          System.out.println(Times.median(times).line());
        }
        default -> throw new IllegalArgumentException("OperatorProtocol: got \"" + line + "\"");
      }
    }
  }

  /** The other end: a process that runs operators. */
  public static final class Side implements AutoCloseable {
    private final LineProcess process;

    /** Takes a process that was just started. */
    public Side(LineProcess process) {
      this.process = process;
      process.await(READY);
    }

    /** See {@link Runner#prepare}. */
    public Prints prepare(BenchmarkedOperator operator) {
      return Prints.parse(process.ask("prepare " + operator.name(), Prints.TAG));
    }

    /** Medians of {@code count} runs. */
    public Times turn(int count) {
      return Times.parse(process.ask("turn " + count, Times.TAG));
    }

    /** Medians of {@code count} passes over memory. */
    public Times pass(int count) {
      return Times.parse(process.ask("pass " + count, Times.TAG));
    }

    @Override
    public void close() {
      process.close();
    }
  }
}
