package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.parallel.redistribute.Strategy;
import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Two encoders of unequal depth enter one language model, with rows of sound that differ from
 * sample to sample and are none for some: training is that of a single rank, whatever the three
 * layouts and wherever they are.
 */
class ThreeComponentParityTest {
  private static final Map<String, Outcome> CONTROLS = new HashMap<>();

  private static void assertParity(Experiment experiment) {
    Experiment single = experiment.onOneRank();
    single.strategy = Strategy.DIRECT;
    single.microBatches = 1;
    single.packed = false;
    Outcome control = CONTROLS.computeIfAbsent(single.toString(), key -> single.run());
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree(experiment.toString());
    outcome.assertEqualTo(control, 1e-9, experiment.toString());
  }

  @ParameterizedTest
  @CsvSource({
    // Colocated, apart, overlapping; each axis in each component.
    "dp2@0-1 | dp2@0-1 | tp2@0-1, 1, false",
    "dp2@0-1 | dp1@2 | tp2@0-1, 2, false",
    "dp2@0-1 | tp2@2-3 | dp3@4-6, 2, false",
    "tp3@0-2 | dp3@1-3 | tp2dp2@2-5, 3, false",
    "dp3@0-2 | cp2@0-1 | tp2@1-2, 1, false",
    "dp2@0-1 | cp2dp2@1-4 | cp2@0-1, 2, false",
    "dp2@0-1 | tp2sp@1-2 | tp2@0-1, 1, false",
    "tp2sp@0-1 | tp2cp2@2-5 | tp2sp@0-1, 2, false",
    "pp2@0-1 | dp1@2 | pp2@0-1, 3, false",
    "dp2@0-1 | dp2@1-2 | pp2tp2@2-5, 2, true",
    "dp2@0-1 | dp2@1-2 | cp2@0-1, 2, true",
    "cp2@0-1 | cp3@1-3 | tp2cp2@0-3, 2, true",
    "dp1@0 | dp4@0-3 | dp2@2-3, 3, true"
  })
  void training_isThatOfOneRank(String layout, int microBatches, boolean packed) {
    Experiment experiment = Experiment.under(layout).steps(6);
    experiment.microBatches = microBatches;
    experiment.packed = packed;
    assertParity(experiment);
  }

  @ParameterizedTest
  @EnumSource(Strategy.class)
  void everyStrategy_atBothBoundaries_givesTheSameTraining(Strategy strategy) {
    Experiment experiment = Experiment.under("dp3@0-2 | dp2@3-4 | tp2dp2@1-4").steps(6);
    experiment.strategy = strategy;
    experiment.textOnly = new int[] {1, 2};
    assertParity(experiment);
  }

  @Test
  void sound_changesWhatIsLearned() {
    Outcome heard = Experiment.under("tp1@0 | tp1@0 | tp1@0").steps(2).run();
    Outcome deaf = Experiment.under("tp1@0 | tp1@0").steps(2).run();
    assertThat(heard.steps().getFirst().loss()).isNotEqualTo(deaf.steps().getFirst().loss());
    assertThat(heard.weights()).containsKey("audio.block0.attention.qkv.weight");
    assertThat(deaf.weights()).doesNotContainKey("audio.block0.attention.qkv.weight");
  }
}
