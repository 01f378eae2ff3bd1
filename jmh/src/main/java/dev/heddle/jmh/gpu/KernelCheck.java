package dev.heddle.jmh.gpu;

import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;

/**
 * The kernel conformance suite on the first GPU, run by JUnit in this JVM: the same cases that
 * every backend passes, each against the reference kernels in F64 on the processor.
 */
final class KernelCheck {
  private static final String SUITE = "dev.heddle.runtime.conformance.GpuConformance$";

  /** What of the suite a simulated GPU gets through in seconds. */
  private static final List<String> QUICK =
      List.of("misuse_", "products_", "linear_emptySizes", "softmax_huge", "crossEntropy_extreme");

  private KernelCheck() {}

  /**
   * How a suite went.
   *
   * @param dtype of the table under test
   * @param passed tests that passed
   * @param failures test and message of each that did not
   */
  record Result(String dtype, int passed, List<String> failures) {
    /** Whether it ran and all passed. */
    boolean isRight() {
      return passed > 0 && failures.isEmpty();
    }

    Map<String, @Nullable Object> toMap() {
      Map<String, @Nullable Object> map = new LinkedHashMap<>();
      map.put("dtype", dtype);
      map.put("passed", (long) passed);
      map.put("failed", (long) failures.size());
      map.put("failures", failures);
      return map;
    }
  }

  /** Runs the suite in a dtype: {@code F32}, {@code BF16} or {@code F64}. */
  static Result run(String dtype, boolean quick) {
    PostDiscoveryFilter chosen =
        test ->
            FilterResult.includedIf(
                !quick
                    || test.getSource()
                        .filter(MethodSource.class::isInstance)
                        .map(source -> ((MethodSource) source).getMethodName())
                        .map(name -> QUICK.stream().anyMatch(name::startsWith))
                        .orElse(true));
    LauncherDiscoveryRequest request =
        LauncherDiscoveryRequestBuilder.request()
            .selectors(selectClass(SUITE + dtype))
            .filters(chosen)
            .build();
    Listener listener = new Listener();
    LauncherFactory.create().execute(request, listener);
    return new Result(dtype, listener.passed, List.copyOf(listener.failures));
  }

  private static final class Listener implements TestExecutionListener {
    private int passed;
    private final List<String> failures = new ArrayList<>();

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
      if (result.getStatus() == TestExecutionResult.Status.SUCCESSFUL) {
        passed += test.isTest() ? 1 : 0;
      } else {
        String why = result.getThrowable().map(Throwable::toString).orElse("aborted");
        failures.add(test.getDisplayName() + ": " + why);
      }
    }
  }
}
