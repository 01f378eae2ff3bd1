package dev.heddle.train.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.util.Properties;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** The command without a subcommand: help and version. */
@Command(
    name = "heddle",
    mixinStandardHelpOptions = true,
    versionProvider = HeddleCommand.Version.class,
    description =
        "Trains multimodal models on the JVM, every component under its own parallel layout.",
    footer = {
      "",
      "Exit codes: 0 done; 1 the run failed; 2 the command line, the configuration, the data or"
          + " the checkpoint was refused.",
      "",
      "To begin: heddle train examples/emoji-captions.yaml"
    })
final class HeddleCommand implements Runnable {
  @Spec private CommandSpec spec;

  @SuppressWarnings("NullAway.Init") // picocli sets the specification.
  HeddleCommand() {}

  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "say what to do: train, plan or doctor");
  }

  /** The version that Maven wrote into the jar. */
  static final class Version implements CommandLine.IVersionProvider {
    private static final String POM = "/META-INF/maven/dev.heddle/heddle-train/pom.properties";

    @Override
    public String[] getVersion() throws IOException {
      try (InputStream stream = HeddleCommand.class.getResourceAsStream(POM)) {
        Properties properties = new Properties();
        if (stream != null) {
          properties.load(stream);
        }
        String version = properties.getProperty("version", "(not from a jar)");
        return new String[] {"heddle " + version + " on JDK " + Runtime.version()};
      }
    }
  }

  /**
   * Runs a command line.
   *
   * @param application does the work
   * @param out what was asked for
   * @param error what went wrong
   * @param arguments the words after {@code heddle}
   * @return the exit code
   */
  static int run(Application application, PrintStream out, PrintStream error, String... arguments) {
    CommandLine line =
        new CommandLine(new HeddleCommand()).addSubcommand(new TrainCommand(application, out));
    // Reading the annotations of a command takes time, and training need not wait for the others'.
    if (arguments.length == 0 || !arguments[0].equals("train")) {
      line.addSubcommand(new PlanCommand(application, out))
          .addSubcommand(new DoctorCommand(out))
          .addSubcommand(new BenchCommand())
          .addSubcommand(new CommandLine.HelpCommand());
    }
    line.setOut(Failures.writer(out)).setErr(Failures.writer(error));
    Failures failures = new Failures();
    line.setParameterExceptionHandler(failures);
    line.setExecutionExceptionHandler(failures);
    return line.execute(arguments);
  }
}
