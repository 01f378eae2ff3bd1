package dev.heddle.train.cli;

import dev.heddle.parallel.comm.mpi.MpiProcess;
import dev.heddle.parallel.comm.mpi.MpiWorld;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.io.Writer;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;

/**
 * A command in each of the processes that {@code mpirun} has started. All do the same; one speaks
 * for all: rank 0, or the next if its process is gone. Whatever stops one stops all, and is said
 * once.
 */
final class ProcessRun {
  private static final long WAIT_FOR_WORDS_MILLIS = 2_000;

  private final CommandLine line;
  private final Application application;
  private final PrintStream out;

  ProcessRun(CommandLine line, Application application, PrintStream out) {
    this.line = line;
    this.application = application;
    this.out = out;
  }

  /**
   * Trains this process's rank.
   *
   * @param request reads the configuration
   * @return the exit code, the same in all processes unless some are gone
   */
  int train(Callable<TrainRequest> request) {
    MpiProcess process;
    try {
      process = MpiProcess.start();
    } catch (IllegalStateException absent) {
      return report(new ParameterException(line, "--launch mpi: " + absent.getMessage()));
    }
    Failure failure = new Failure();
    try {
      process.run(
          MpiWorld.DEFAULT_TIMEOUT,
          world -> {
            try {
              TrainRequest read = request.call();
              checkSize(read.config().parallel().ranks(), process.size());
              PrintStream output =
                  process.rank() == 0 ? out : new PrintStream(PrintStream.nullOutputStream());
              application.train(read, new ProcessLauncher(process, world), output);
            } catch (Exception thrown) {
              failure.own = thrown;
              throw thrown;
            }
          });
    } catch (RuntimeException stopped) {
      failure.ofRun = stopped;
    }
    int exitCode = failure.ofRun == null ? CommandLine.ExitCode.OK : reportOnce(process, failure);
    process.close();
    return exitCode;
  }

  /** What went wrong here, and in the run. */
  private static final class Failure {
    private @Nullable Exception own;
    private @Nullable RuntimeException ofRun;
  }

  private void checkSize(int ranks, int processes) {
    if (ranks != processes) {
      throw new ParameterException(
          line,
          "--launch mpi: the configuration has parallel.ranks "
              + ranks
              + ", and the job has "
              + processes
              + (processes == 1 ? " process" : " processes")
              + "; accepted: as many processes as ranks, so start it with mpirun -n "
              + ranks
              + ", or add --set parallel.ranks="
              + processes);
    }
  }

  private int reportOnce(MpiProcess process, Failure failure) {
    Exception own = failure.own;
    Exception reported = failure.ofRun;
    if (own != null && (own instanceof ParameterException || Failures.isRefusal(own))) {
      // The same in every process, so not one rank's failure.
      reported = own;
    }
    boolean speaks = process.isFirstAlive();
    if (!speaks) {
      line.setErr(new PrintWriter(Writer.nullWriter()));
    }
    int exitCode = report(reported == null ? new IllegalStateException("no reason") : reported);
    process.reported();
    if (process.isBroken() && !speaks) {
      // Whoever ends first ends the job: let the one that speaks come to its end.
      pause();
    }
    return exitCode;
  }

  private static void pause() {
    try {
      Thread.sleep(WAIT_FOR_WORDS_MILLIS);
    } catch (InterruptedException ended) {
      Thread.currentThread().interrupt();
    }
  }

  private int report(Exception failure) {
    Failures failures = new Failures();
    return failure instanceof ParameterException wrong
        ? failures.handleParseException(wrong, new String[0])
        : failures.handleExecutionException(failure, line, line.getParseResult());
  }
}
