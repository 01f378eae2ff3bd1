package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.cpu.CpuBackend;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** A training loop of a fixed size takes no new memory from the system once it is steady. */
class SteadyMemoryTest {
  private static final int STEPS = 8;
  private static final int STEADY_AFTER = 3;

  @ParameterizedTest
  @CsvSource({
    "tp1@0 | tp1@0, 1, DIRECT, F32, BEST",
    "dp2@0-1 | tp2@0-1, 1, DIRECT, F32, BEST",
    "tp2@0-1 | dp2@0-1, 2, DIRECT, F32, BEST",
    "dp3@0-2 | tp2@1-2, 3, DIRECT, F64, REFERENCE",
    "dp2@0-1 | tp2@0-1, 1, LEADER, F32, BEST",
    "tp2dp2@0-3 | dp4@0-3, 1, SCATTER_GATHER, F32, BEST",
    "dp2@0-1 | tp2@0-1, 1, DIRECT, BF16, BEST"
  })
  void trainingLoop_afterTheThirdStep_takesNoMemoryFromTheSystem(
      String layout,
      int microBatches,
      dev.heddle.parallel.redistribute.Strategy strategy,
      DType dtype,
      CpuBackend backend) {
    Experiment experiment = Experiment.under(layout).steps(STEPS);
    experiment.microBatches = microBatches;
    experiment.strategy = strategy;
    experiment.dtype = dtype;
    experiment.backend = backend;
    List<RankLog> ranks = experiment.run().ranks();
    for (int rank = 0; rank < ranks.size(); rank++) {
      List<Long> allocations = ranks.get(rank).systemAllocations;
      assertThat(allocations.get(0)).as("rank %d allocates at all", rank).isPositive();
      assertThat(allocations.subList(STEADY_AFTER, STEPS))
          .as("system allocations of rank %d under %s", rank, experiment)
          .containsOnly(allocations.get(STEADY_AFTER - 1));
    }
  }
}
