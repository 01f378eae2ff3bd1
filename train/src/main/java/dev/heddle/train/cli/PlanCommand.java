package dev.heddle.train.cli;

import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ConfigOverride;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code heddle plan}. */
@Command(
    name = "plan",
    mixinStandardHelpOptions = true,
    versionProvider = HeddleCommand.Version.class,
    description =
        "Prints the layout of each component, each boundary's transfers, the schedule, the predicted"
            + " memory and what was proved. Nothing runs.")
final class PlanCommand implements Callable<Integer> {
  private final Application application;
  private final PrintStream out;

  @Parameters(paramLabel = "CONFIG", description = "The configuration (YAML).")
  private Path config;

  @Option(
      names = "--set",
      paramLabel = "a.b.c=VALUE",
      description =
          "Overrides a key of the configuration; VALUE is YAML. May be repeated, the last wins.")
  private List<String> sets = new ArrayList<>();

  @Option(names = "--json", description = "Prints one JSON document for programs.")
  private boolean json;

  @Option(
      names = "--launches",
      description =
          "Also counts what a step asks of each rank's GPU: kernels, products, waits, allocations,"
              + " and the bytes moved beside the fewest possible. Takes longer.")
  private boolean launches;

  @SuppressWarnings("NullAway.Init") // picocli sets the required parameter.
  PlanCommand(Application application, PrintStream out) {
    this.application = application;
    this.out = out;
  }

  @Override
  public Integer call() throws Exception {
    application.plan(
        new PlanRequest(
            ConfigLoader.load(config, sets.stream().map(ConfigOverride::set).toList()),
            launches,
            json),
        out);
    return CommandLine.ExitCode.OK;
  }
}
