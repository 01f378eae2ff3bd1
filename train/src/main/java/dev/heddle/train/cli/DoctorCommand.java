package dev.heddle.train.cli;

import dev.heddle.train.report.Machine;
import java.io.PrintStream;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** {@code heddle doctor}. */
@Command(
    name = "doctor",
    mixinStandardHelpOptions = true,
    versionProvider = HeddleCommand.Version.class,
    description =
        "Says what was found of JDK, Vector API, oneDNN, CUDA, NCCL and MPI, and what to do about"
            + " what is missing.")
final class DoctorCommand implements Callable<Integer> {
  private final PrintStream out;

  DoctorCommand(PrintStream out) {
    this.out = out;
  }

  @Override
  public Integer call() throws Exception {
    List<Machine.Finding> findings = Machine.everything();
    int width = findings.stream().mapToInt(finding -> finding.name().length()).max().orElse(0);
    String format = "%-4s%-" + width + "s  %s%n";
    for (Machine.Finding finding : findings) {
      out.printf(format, finding.found() ? "ok" : "--", finding.name(), finding.state());
      for (String detail : finding.details()) {
        out.printf(format, "", "", "tried " + detail);
      }
      if (!finding.remedy().isEmpty()) {
        out.printf(format, "", "", finding.remedy());
      }
    }
    out.println();
    out.println("Only a JDK is needed; everything else makes runs faster or larger.");
    return CommandLine.ExitCode.OK;
  }
}
