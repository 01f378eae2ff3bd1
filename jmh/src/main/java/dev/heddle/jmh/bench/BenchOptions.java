package dev.heddle.jmh.bench;

import dev.heddle.jmh.BenchmarkModel;
import dev.heddle.jmh.Precision;
import java.io.PrintStream;
import java.util.List;

/**
 * How much is measured.
 *
 * @param quick a few turns only: an answer in minutes, good to some per cent
 * @param models whose steps are measured
 * @param threads numbers of threads, each in turn
 * @param precisions of the steps
 * @param only operators: those whose name contains this
 * @param ourFlags flags of our JVMs
 * @param progress told what goes on, for whoever waits
 */
record BenchOptions(
    boolean quick,
    List<BenchmarkModel> models,
    List<Integer> threads,
    List<Precision> precisions,
    String only,
    List<String> ourFlags,
    PrintStream progress) {
  /** Turns that each side takes. */
  int rounds() {
    return quick ? 5 : 11;
  }

  void say(String line) {
    progress.println(line);
    progress.flush();
  }
}
