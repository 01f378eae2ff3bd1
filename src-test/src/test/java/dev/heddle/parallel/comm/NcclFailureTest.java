package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.RepeatedTest;
import org.junit.jupiter.api.Test;

/**
 * The conformance suite's failures over a simulated NCCL. Three differ in where they show: waiting
 * for a handle does not wait for the GPU, so a rank hears of a failure where it reads a value; and
 * a group begins with a meeting of its members over the control communicator, which is then what a
 * rank that never came has missed, or what it did last.
 */
class NcclFailureTest extends FailureConformance {
  static final Duration SHORT = Duration.ofMillis(500);

  @Override
  World world() {
    return SimulatedGpuWorld.lazy();
  }

  final RankFailedException failure(int ranks, Duration timeout, RankBody body) {
    try {
      world().run(ranks, timeout, world().program(body));
    } catch (RankFailedException failure) {
      return failure;
    }
    throw new AssertionError("the run must fail");
  }

  static NDArray zeros(Device device, int size) {
    return NDArray.of(device, DType.F32, Shape.of(size), new double[size]);
  }

  /** Again and again: the others hear of it while it is still on its way to being known. */
  @Override
  @RepeatedTest(20)
  void aRankThatThrows_whileOthersWait_stopsThemWithItsException() {
    IllegalStateException boom = new IllegalStateException("boom");
    List<Throwable> seen = new ArrayList<>();
    RankFailedException failure =
        failure(
            4,
            World.PATIENT,
            (world, device) -> {
              if (world.rank() == 2) {
                throw boom;
              }
              NDArray array = zeros(device, 100);
              try {
                world.allReduce(array, ReduceOp.SUM).await();
                // Here the host waits for the GPU, which waits for rank 2.
                array.toDoubles();
              } catch (RankStoppedException stopped) {
                synchronized (seen) {
                  seen.add(stopped);
                }
                throw new IllegalStateException("in step 7", stopped);
              }
            });
    assertThat(failure.rank()).isEqualTo(2);
    assertIsBoom(failure.getCause(), boom);
    assertThat(failure.getSuppressed()).isEmpty();
    assertThat(seen)
        .hasSize((int) world().ranksHere(4).stream().filter(rank -> rank != 2).count())
        .allSatisfy(
            stopped -> {
              assertThat(stopped)
                  .hasMessageContaining("rank 2 failed")
                  .hasMessageContaining("boom");
              assertIsBoom(stopped.getCause(), boom);
            });
  }

  /** That what was told is what was thrown: where both are in one process, the same. */
  void assertIsBoom(Throwable told, Throwable boom) {
    assertThat(told).isSameAs(boom);
  }

  @Override
  @Test
  void aMissingRank_inAnotherCollective_isNamedWithThat() {
    RankFailedException failure =
        failure(
            2,
            SHORT,
            (world, device) -> {
              String mine = world.rank() == 0 ? "tp" : "dp";
              world.subgroup(mine, List.of(0, 1)).orElseThrow().barrier();
            });
    assertThat(failure.getCause()).isInstanceOf(CommunicationTimeoutException.class);
    assertThat(failure.getCause().getMessage())
        .containsPattern("in NCCL meeting of [td]p .ranks 0,1., operation 0 timed out")
        .containsPattern("rank [01] .last (posted|failed in) .* in NCCL meeting of [td]p");
  }

  @Override
  @Test
  void aRankThatHasEnded_withoutComing_isNamedAtOnce() {
    RankFailedException failure =
        failure(
            2,
            World.PATIENT,
            (world, device) -> {
              if (world.rank() == 0) {
                NDArray array = zeros(device, 5);
                world.allReduce(array, ReduceOp.SUM).await();
                array.toDoubles();
              }
            });
    assertThat(failure.getCause())
        .isInstanceOf(CommunicationException.class)
        .hasMessageContaining(
            "allReduce F32[5] SUM in world (ranks 0,1), operation 0 cannot complete: a rank that it"
                + " needs has ended its program; came: rank 0; did not come: rank 1")
        .hasMessageContaining("its program has ended");
  }
}
