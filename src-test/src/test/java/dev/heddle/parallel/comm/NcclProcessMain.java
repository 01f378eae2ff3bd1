package dev.heddle.parallel.comm;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import dev.heddle.parallel.comm.mpi.MpiConformanceWorld;
import dev.heddle.parallel.comm.mpi.MpiProcess;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * What each process of {@link NcclProcessTest} runs: all cases, then one line {@code rank R: N
 * passed, M failed}, after what failed.
 */
public final class NcclProcessMain {
  private static final long CHUNK_BYTES = 1 << 20;

  private NcclProcessMain() {}

  /** Runs the suite. */
  public static void main(String[] arguments) {
    try (MpiProcess process = MpiProcess.start()) {
      MpiConformanceWorld.open(process, CHUNK_BYTES);
      LauncherDiscoveryRequest request =
          LauncherDiscoveryRequestBuilder.request()
              .selectors(
                  selectClass(NcclProcessSuites.Collectives.class),
                  selectClass(NcclProcessSuites.Exchanges.class),
                  selectClass(NcclProcessSuites.RandomPrograms.class),
                  selectClass(NcclProcessSuites.Failures.class))
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
