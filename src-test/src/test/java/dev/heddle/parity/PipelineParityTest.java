package dev.heddle.parity;

import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.train.config.ModelConfig;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A pipeline of stages trains as one rank does, under every schedule and beside every axis. */
class PipelineParityTest {
  private static final double TOLERANCE = 1e-9;
  private static final int STEPS = 6;

  private static final Map<String, Outcome> CONTROLS = new HashMap<>();

  /** Three blocks of vision and five of language: what no number of stages divides. */
  private static ModelConfig model(boolean tied, boolean recompute) {
    return new ModelConfig(
        new ModelConfig.Vision(3, 8, 4, 4, TinyModel.IMAGE_SIZE, recompute),
        new ModelConfig.Projector(10),
        new ModelConfig.Language(5, 8, 4, 12, tied, recompute));
  }

  private static Experiment under(String layout, int microBatches) {
    Experiment experiment = Experiment.under(layout).steps(STEPS);
    experiment.model = model(false, false);
    experiment.microBatches = microBatches;
    return experiment;
  }

  private static void assertParity(Experiment experiment) {
    Experiment single = experiment.onOneRank();
    single.model = model(experiment.model.language().tiedEmbeddings(), false);
    single.microBatches = 1;
    single.packed = false;
    single.strategy = Strategy.DIRECT;
    Outcome control = CONTROLS.computeIfAbsent(single.toString(), key -> single.run());
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree(experiment.toString());
    outcome.assertEqualTo(control, TOLERANCE, experiment.toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "dp1@0 | pp2@0-1",
        "dp1@0 | pp2@1-2; gpipe",
        "dp1@0 | pp2@1-2; zero-bubble",
        "dp1@0 | pp2chunks2@1-2; interleaved",
        "dp1@0 | pp5@0-4",
        "pp3@0-2 | pp3@0-2",
        "pp3@0-2 | pp3@2-4; zero-bubble",
        "pp2@0-1 | dp2@0-1",
        "pp2@0-1 | dp2@2-3; gpipe",
        "dp3@0-2 | pp2layers1,4@1-2",
        "dp2@0-1 | pp2chunks2layers1,2,1,1@2-3; interleaved",
        "pp2dp2@0-3 | tp2pp2@2-5",
        "tp2@0-1 | tp2pp2dp2@0-7; zero-bubble",
        "cp2@0-1 | cp2pp2@0-3",
        "dp3@0-2 | cp2pp2@3-6; gpipe",
        "cp2pp2@0-3 | tp2sp.pp2@4-7",
        "tp2sp.pp2@0-3 | tp2sp.cp2.pp2@0-7; zero-bubble"
      })
  void stages_trainAsOneRank(String layout) {
    assertParity(under(layout, 4));
  }

  @ParameterizedTest
  @CsvSource({
    "dp1@0 | pp2@0-1, 4, true, false",
    "dp1@0 | pp2@0-1, 4, false, true",
    "dp1@0 | pp3@0-2; zero-bubble, 5, true, true",
    "pp2@0-1 | tp3pp2@2-7, 3, true, false",
    "dp2@0-1 | pp2chunks2@0-1; interleaved, 4, true, true",
    "dp2@0-1 | pp2dp2z@0-3, 2, true, false",
    "cp2@0-1 | tp2sp.cp2.pp2@0-7; gpipe, 2, true, true",
    "tp2@0-1 | dp2@0-1, 2, true, true"
  })
  void tiedWordsAndRecomputedBlocks_changeNothing(
      String layout, int microBatches, boolean tied, boolean recompute) {
    Experiment experiment = under(layout, microBatches);
    experiment.model = model(tied, recompute);
    assertParity(experiment);
  }

  /**
   * Each lane of vision works when its rows are due, so that the stages below are never all at the
   * boundary together: nobody may wait there for a rank from which it needs nothing.
   */
  @ParameterizedTest
  @EnumSource(Strategy.class)
  void lanesOfAnEncoder_onTheStagesOfTheOther_neverWaitForOneAnother(Strategy strategy) {
    Experiment experiment = under("cp2dp2@0-3 | pp4layers1,1,1,2@0-3", 5);
    experiment.strategy = strategy;
    assertParity(experiment);
  }

  @ParameterizedTest
  @CsvSource({
    "dp2@0-1 | pp2@0-1, 5, false",
    "pp2@0-1 | cp2pp2@2-5, 3, true",
    "dp3@0-2 | pp2dp2@0-3; zero-bubble, 2, true",
    "cp2@0-1 | pp2chunks2@1-2; interleaved, 2, false",
    "pp3@0-2 | tp2sp.pp2@2-5; gpipe, 5, true"
  })
  void microBatchesWithoutPictures_goThroughThePipeline(
      String layout, int microBatches, boolean packed) {
    Experiment experiment = under(layout, microBatches);
    // With five microbatches three of them have no picture at all.
    experiment.textOnly = new int[] {0, 3, 4};
    experiment.packed = packed;
    assertParity(experiment);
  }
}
