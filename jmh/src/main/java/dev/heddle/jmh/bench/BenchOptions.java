package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkModel;
import dev.heddle.jmh.Precision;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.util.List;

/**
 * How much is measured.
 *
 * @param quick a few turns only: an answer in minutes, good to some per cent
 * @param models whose steps are measured
 * @param threads numbers of threads, each in turn
 * @param precisions of the steps
 * @param only boundaries, collectives and operators: those whose name contains this
 * @param ourFlags flags of our JVMs
 * @param progress told what goes on, for whoever waits
 * @param failures what could not be measured, in words; added to
 */
record BenchOptions(
    boolean quick,
    List<BenchmarkModel> models,
    List<Integer> threads,
    List<Precision> precisions,
    String only,
    List<String> ourFlags,
    PrintStream progress,
    List<String> failures) {
  /** Turns that each side takes. */
  int rounds() {
    return quick ? 5 : 11;
  }

  /** Whether a row of that name is asked for. */
  boolean wants(String name) {
    return name.contains(only);
  }

  void say(String line) {
    progress.println(line);
    progress.flush();
  }

  /**
   * Measures, and goes on with the next if sides do not agree: other rows are good all the same.
   */
  void orElseSay(Runnable measurement) {
    try {
      measurement.run();
    } catch (IllegalStateException | UncheckedIOException failure) {
      failures.add(failure.getMessage());
      say("  " + failure.getMessage());
    }
  }
}
