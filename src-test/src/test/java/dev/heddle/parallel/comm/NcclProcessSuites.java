package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

/**
 * The conformance suite over processes with a simulated GPU each; {@link NcclProcessMain} runs it.
 */
final class NcclProcessSuites {
  private NcclProcessSuites() {}

  /** Collectives. */
  static final class Collectives extends CollectiveConformance {
    @Override
    World world() {
      return new ProcessGpuWorld();
    }
  }

  /** Messages. */
  static final class Exchanges extends ExchangeConformance {
    @Override
    World world() {
      return new ProcessGpuWorld();
    }
  }

  /** Random programs. */
  static final class RandomPrograms extends RandomProgramConformance {
    @Override
    World world() {
      return new ProcessGpuWorld();
    }
  }

  /** What ranks are told when they do not fit together. */
  static final class Failures extends NcclFailureTest {
    @Override
    World world() {
      return new ProcessGpuWorld();
    }

    @Override
    void assertIsBoom(Throwable told, Throwable boom) {
      // It has come from another process.
      assertThat(told).hasToString(boom.toString());
    }
  }
}
