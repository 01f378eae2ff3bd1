package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.NDArray;
import java.util.List;
import org.junit.jupiter.api.Test;

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

    /** As in the other suites, but that a rank has communicated once: when the group met. */
    @Override
    @Test
    void aReceiveWithoutSend_timesOutNamingTheSender() {
      RankFailedException failure =
          failure(
              2,
              SHORT,
              (world, device) -> {
                NDArray array = zeros(device, 5);
                if (world.rank() == 0) {
                  world.exchange(List.of(Message.receive(1, array))).await();
                } else {
                  Thread.sleep(1_200);
                }
              });
      assertThat(failure.getCause())
          .isInstanceOf(CommunicationTimeoutException.class)
          .hasMessageContaining("exchange of rank 0 in world (ranks 0,1) timed out after 0.5 s")
          .hasMessageContaining(
              "message 0 from rank 1 to rank 0 (F32 x 5) is waited for, but rank 1 has not posted"
                  + " the send")
          .hasMessageContaining(
              "rank 1 (last completed allGather of host values of 0 longs in NCCL")
          .hasMessageContaining("is at NcclProcessSuites");
    }

    @Override
    void assertIsBoom(Throwable told, Throwable boom) {
      // It has come from another process.
      assertThat(told).hasToString(boom.toString());
    }
  }
}
