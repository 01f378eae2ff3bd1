package dev.heddle.train.cli;

import dev.heddle.train.checkpoint.CheckpointException;
import dev.heddle.train.config.ConfigException;
import dev.heddle.train.dataset.DatasetException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import picocli.CommandLine;
import picocli.CommandLine.IExecutionExceptionHandler;
import picocli.CommandLine.IParameterExceptionHandler;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * Turns exceptions into words and exit codes. What a user can mend is said without a stack trace; a
 * failed run shows where it failed.
 */
final class Failures implements IParameterExceptionHandler, IExecutionExceptionHandler {

  static PrintWriter writer(OutputStream stream) {
    return new PrintWriter(new OutputStreamWriter(stream, StandardCharsets.UTF_8), true);
  }

  /** Whether it is about something that a user can mend, so that nobody needs a stack trace. */
  static boolean isRefusal(Exception e) {
    return e instanceof ConfigException
        || e instanceof DatasetException
        || e instanceof CheckpointException
        || e instanceof MissingDeviceException;
  }

  @Override
  public int handleParseException(ParameterException e, String[] arguments) {
    CommandLine command = e.getCommandLine();
    PrintWriter error = command.getErr();
    error.println(command.getCommandSpec().qualifiedName() + ": " + e.getMessage());
    UnmatchedArgumentException.printSuggestions(e, error);
    error.println("Try '" + command.getCommandSpec().qualifiedName() + " --help'.");
    return CommandLine.ExitCode.USAGE;
  }

  @Override
  public int handleExecutionException(Exception e, CommandLine command, ParseResult parsed) {
    PrintWriter error = command.getErr();
    if (isRefusal(e)) {
      error.println(e.getMessage());
      return CommandLine.ExitCode.USAGE;
    }
    error.println(command.getCommandSpec().qualifiedName() + ": the run failed");
    e.printStackTrace(error);
    error.flush();
    return CommandLine.ExitCode.SOFTWARE;
  }
}
