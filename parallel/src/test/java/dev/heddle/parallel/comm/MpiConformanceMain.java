package dev.heddle.parallel.comm;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;
import dev.heddle.parallel.comm.mpi.MpiProcess;
import dev.heddle.parallel.redistribute.MpiBoundaryExchangeSuite;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * What each process of a conformance job runs: all cases, then one line {@code rank R: N passed, M
 * failed}, after what failed.
 */
public final class MpiConformanceMain {
  private MpiConformanceMain() {}

  /** Runs the suite; the argument is the most bytes of one message. */
  public static void main(String[] arguments) {
    long chunkBytes = Long.parseLong(arguments[0]);
    try (MpiProcess process = MpiProcess.start()) {
      MpiConformanceWorld.open(process, chunkBytes);
      LauncherDiscoveryRequest request =
          LauncherDiscoveryRequestBuilder.request()
              .selectors(
                  selectClass(MpiCollectiveSuite.class),
                  selectClass(MpiExchangeSuite.class),
                  selectClass(MpiRandomProgramSuite.class),
                  selectClass(MpiBoundaryExchangeSuite.class),
                  selectClass(MpiFailureSuite.class))
              .build();
      SummaryGeneratingListener listener = new SummaryGeneratingListener();
      LauncherFactory.create().execute(request, listener);
      TestExecutionSummary summary = listener.getSummary();
      StringWriter text = new StringWriter();
      PrintWriter out = new PrintWriter(text);
      summary.printFailuresTo(out, 12);
      out.printf(
          "rank %d: %d passed, %d failed%n",
          process.rank(), summary.getTestsSucceededCount(), summary.getTestsFailedCount());
      out.flush();
      System.out.print(text);
      System.out.flush();
    }
  }
}
