package dev.heddle.train.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import picocli.CommandLine.Unmatched;

/**
 * Stands in the help for {@code heddle bench}, which is a program of its own: the launcher builds
 * it, with peers that nothing else needs, and starts it without coming here.
 */
@Command(
    name = "bench",
    description =
        "Measures Heddle beside libtorch and others; the first time it fetches them, some 450 MB."
            + " heddle bench --help tells more.")
final class BenchCommand implements Runnable {
  @Spec private CommandSpec spec;

  /** Whatever was asked, the answer is the same. */
  @Unmatched private String[] words;

  @SuppressWarnings("NullAway.Init") // picocli sets both.
  BenchCommand() {}

  @Override
  public void run() {
    throw new ParameterException(
        spec.commandLine(),
        "bench is not in this program; ./heddle bench, in the folder of the sources, builds and"
            + " starts it");
  }
}
