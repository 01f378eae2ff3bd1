package dev.heddle.widths;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import dev.heddle.runtime.cpu.CpuBackend;
import java.io.PrintWriter;
import java.util.Arrays;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * Runs the test classes that are its arguments; prints what failed and then one line {@code BITS B:
 * N passed, M failed}, with the vectors' width.
 */
public final class VectorWidthMain {
  private VectorWidthMain() {}

  /** Runs the classes. */
  public static void main(String[] classes) {
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(Arrays.stream(classes).map(name -> selectClass(name)).toList())
            .build();
    SummaryGeneratingListener listener = new SummaryGeneratingListener();
    LauncherFactory.create().execute(request, listener);
    TestExecutionSummary summary = listener.getSummary();
    PrintWriter out = new PrintWriter(System.out, true);
    summary.printFailuresTo(out, 12);
    out.printf(
        "BITS %d: %d passed, %d failed%n",
        CpuBackend.vectorBits(), summary.getTestsSucceededCount(), summary.getTestsFailedCount());
  }
}
