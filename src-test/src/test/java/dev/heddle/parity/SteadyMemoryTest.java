package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.train.config.ModelConfig;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A training loop of a fixed size takes no new memory from the system once it is steady, and what
 * it needs at once does not depend on the number of microbatches.
 */
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
    "dp2@0-1 | tp2@0-1, 1, DIRECT, BF16, BEST",
    "dp2z@0-1 | dp3z@0-2, 2, DIRECT, BF16, BEST",
    "dp3z@0-2 | tp2dp2z@0-3, 1, DIRECT, F32, BEST"
  })
  void trainingLoop_afterTheThirdStep_takesNoMemoryFromTheSystem(
      String layout, int microBatches, Strategy strategy, DType dtype, CpuBackend backend) {
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

  @ParameterizedTest
  @CsvSource({
    "tp1@0 | tp1@0, DIRECT",
    "dp2@0-1 | tp2@0-1, DIRECT",
    "tp2@0-1 | dp2@0-1, SCATTER_GATHER",
    "dp2@0-1 | tp2dp2@0-3, LEADER"
  })
  void moreMicroBatches_ofTheSameSize_needNoMoreMemory(String layout, Strategy strategy) {
    List<RankLog> few = ofMicroBatches(2, layout, strategy);
    List<RankLog> many = ofMicroBatches(7, layout, strategy);
    for (int rank = 0; rank < few.size(); rank++) {
      assertThat(many.get(rank).peakBytes)
          .as("peak of rank %d under %s, %s", rank, layout, strategy)
          .isEqualTo(few.get(rank).peakBytes);
    }
  }

  /**
   * An encoder on the ranks of a pipelined language model: once there are more microbatches than
   * fit into the pipeline, none keeps more of them alive. What is under way between ranks goes when
   * it is taken, sooner or later, hence the margin.
   */
  @ParameterizedTest
  @ValueSource(
      strings = {
        "dp2@0-1 | pp2@0-1",
        "dp2@0-1 | pp2@0-1; zero-bubble",
        "dp2@0-1 | pp2chunks2@0-1; interleaved",
        "dp4@0-3 | pp4@0-3",
        "dp2@0-1 | dp2@0-1 | pp2@0-1"
      })
  void colocatedEncoder_ofAPipelinedModel_keepsNoMoreAliveForMoreMicroBatches(String layout) {
    List<RankLog> few = deep(8, layout);
    List<RankLog> many = deep(32, layout);
    for (int rank = 0; rank < few.size(); rank++) {
      assertThat(many.get(rank).peakBytes)
          .as("peak of rank %d under %s", rank, layout)
          .isLessThanOrEqualTo(few.get(rank).peakBytes * 11 / 10);
    }
  }

  @Test
  void allForwardFirst_keepsEveryMicroBatchAlive_whichTheMeasureShows() {
    List<RankLog> few = deep(8, "dp2@0-1 | pp2@0-1; gpipe");
    List<RankLog> many = deep(32, "dp2@0-1 | pp2@0-1; gpipe");
    for (int rank = 0; rank < few.size(); rank++) {
      assertThat(many.get(rank).peakBytes).isGreaterThan(3 * few.get(rank).peakBytes);
    }
  }

  private static List<RankLog> deep(int count, String layout) {
    Experiment experiment = Experiment.under(layout).steps(1);
    ModelConfig usual = experiment.model;
    experiment.model =
        new ModelConfig(
            usual.vision(),
            usual.audio(),
            usual.projector(),
            new ModelConfig.Language(5, 8, 4, usual.language().contextLength()));
    experiment.samples = 4 * count;
    experiment.microBatches = count;
    return experiment.run().ranks();
  }

  private static List<RankLog> ofMicroBatches(int count, String layout, Strategy strategy) {
    Experiment experiment = Experiment.under(layout).steps(2);
    experiment.samples = 4 * count;
    experiment.microBatches = count;
    experiment.strategy = strategy;
    return experiment.run().ranks();
  }
}
