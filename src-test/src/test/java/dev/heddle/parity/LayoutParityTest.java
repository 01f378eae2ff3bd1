package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Percentage.withPercentage;

import dev.heddle.parallel.redistribute.Strategy;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.cpu.CpuBackend;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Training does not depend on the layout: every step's loss and gradient norm, and every weight
 * after 20 steps, are those of a single rank.
 */
class LayoutParityTest {
  private static final double F64_TOLERANCE = 1e-9;
  private static final double F32_TOLERANCE = 1e-4;

  /** One run on a single rank serves all tests that ask for the same. */
  private static final Map<String, Outcome> CONTROLS = new HashMap<>();

  private static Outcome control(Experiment experiment) {
    Experiment single = experiment.onOneRank();
    single.strategy = Strategy.DIRECT;
    return CONTROLS.computeIfAbsent(single.toString(), key -> single.run());
  }

  private static void assertParity(Experiment experiment, double tolerance) {
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree(experiment.toString());
    outcome.assertEqualTo(control(experiment), tolerance, experiment.toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tp2@0-1 | tp2@0-1",
        "tp3@0-2 | tp3@0-2",
        "dp2@0-1 | dp2@0-1",
        "dp3@0-2 | dp3@0-2",
        "dp2@0-1 | tp2@0-1",
        "tp2@0-1 | dp2@0-1",
        "dp4@0-3 | tp2dp2@0-3",
        "tp2dp2@0-3 | dp4@0-3",
        "dp3@0-2 | tp2@0-1",
        "dp2@0-1 | tp3@2-4",
        "tp2@1-2 | dp3@0-2",
        "dp2@0,3 | tp2@1,2",
        "tp2dp2@0-3 | tp4@2-5",
        "dp3@0,2,4 | dp2@1,4"
      })
  void training_inDoublePrecision_isThatOfOneRank(String layout) {
    assertParity(Experiment.under(layout), F64_TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "dp1@0 | cp2@0-1",
        "dp1@0 | cp2all-gather@0-1",
        "dp1@0 | cp2all-to-all@0-1",
        "dp2@0-1 | cp3@0-2",
        "dp2@0-1 | tp2cp2@2-5",
        "cp2@0-1 | dp2@0-1",
        "cp2@0-1 | cp2@0-1",
        "cp3@0-2 | tp2@1-2",
        "tp2cp2@0-3 | dp3@1-3",
        "cp2dp2@0-3 | cp2dp2@0-3",
        "dp3@0-2 | cp4all-gather@2-5",
        "cp4@0-3 | cp3all-to-all@1-3",
        "dp2@0-1 | tp2sp@0-1",
        "tp2sp@0-1 | dp2@0-1",
        "tp3sp@0-2 | tp3sp@1-3",
        "tp2sp.cp2@0-3 | tp2sp.cp2@0-3",
        "tp2sp.dp2@0-3 | tp3sp.cp2@2-7",
        "dp3@0-2 | tp4sp.cp2all-gather@0-7",
        "tp2dp2z@0-3 | tp2sp.cp2z@0-3"
      })
  void componentsThatDivideSequences_trainAsOneRank(String layout) {
    assertParity(Experiment.under(layout).steps(6), F64_TOLERANCE);
  }

  @ParameterizedTest
  @CsvSource({
    "dp2@0-1 | dp2@0-1, 1, false",
    "dp3@0-2 | tp2@0-1, 2, false",
    "dp2@0-1 | cp2@0-1, 1, false",
    "dp2@0-1 | tp2cp2@1-4, 3, false",
    "cp2@0-1 | cp2dp2@0-3, 2, false",
    "dp1@0 | dp2@0-1, 1, true",
    "dp2@0-1 | tp2dp2@0-3, 3, true",
    "dp2@0-1 | cp2@0-1, 1, true",
    "dp2@0-1 | cp3all-gather@0-2, 2, true",
    "cp2@0-1 | cp2dp2all-to-all@1-4, 2, true",
    "cp2dp2@0-3 | tp2cp2@0-3, 5, true",
    "tp2sp@0-1 | tp2sp.cp2@0-3, 2, false",
    "tp2sp@0-1 | tp2sp.dp2@0-3, 2, true",
    "dp2@0-1 | tp2sp.cp3@0-5, 3, true"
  })
  void samplesWithoutPictures_paddedAndPacked_trainAsOnOneRank(
      String layout, int microBatches, boolean packed) {
    Experiment experiment = Experiment.under(layout).steps(6);
    experiment.textOnly = new int[] {0, 3, 4};
    Experiment single = experiment.onOneRank();
    experiment.microBatches = microBatches;
    experiment.packed = packed;
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree(experiment.toString());
    outcome.assertEqualTo(control(single), F64_TOLERANCE, experiment.toString());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "tp3@0-2 | tp3@0-2",
        "dp3@0-2 | dp3@0-2",
        "dp2@0-1 | tp2@0-1",
        "tp2@0-1 | dp2@0-1",
        "dp4@0-3 | tp2dp2@0-3",
        "tp2dp2@0-3 | dp4@0-3"
      })
  void training_inSinglePrecision_isThatOfOneRank(String layout) {
    for (CpuBackend backend : new CpuBackend[] {CpuBackend.REFERENCE, CpuBackend.BEST}) {
      Experiment experiment = Experiment.under(layout);
      experiment.dtype = DType.F32;
      experiment.backend = backend;
      Outcome outcome = experiment.run();
      outcome.assertReplicasAgree(layout);
      outcome
          .withoutKeyBiases()
          .assertEqualTo(
              control(experiment).withoutKeyBiases(), F32_TOLERANCE, backend + " " + layout);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "dp2@0-1 | tp2@0-1, 2",
    "tp2@0-1 | dp2@0-1, 3",
    "dp3@0-2 | tp2@0-1, 2",
    "dp4@0-3 | tp2dp2@0-3, 3",
    "tp2dp2@0-3 | dp4@0-3, 3",
    "dp4@0-3 | dp5@4-8, 3"
  })
  void microBatches_ofUnevenSize_someWithoutASampleOnARank_changeNothing(
      String layout, int microBatches) {
    // 5 samples in 3 microbatches over dp=4: two ranks or more have none.
    Experiment experiment = Experiment.under(layout);
    Experiment whole = experiment.onOneRank();
    experiment.microBatches = microBatches;
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree(layout);
    outcome.assertEqualTo(control(whole), F64_TOLERANCE, experiment.toString());
  }

  @Test
  void batchSmallerThanTheDataAxis_isTrainedOnByTheRanksThatHaveASample() {
    Experiment experiment = Experiment.under("dp3@0-2 | dp4@0-3");
    experiment.samples = 2;
    assertParity(experiment, F64_TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(strings = {"dp3@0-2 | dp3@0-2", "tp2@0-1 | dp5@0-4", "dp2@0-1 | tp2dp2@0-3"})
  void rankWhoseSamplesAreAllPadding_addsNothingToLossOrGradient(String layout) {
    Experiment experiment = Experiment.under(layout);
    experiment.padded = new int[] {3, 4};
    assertParity(experiment, F64_TOLERANCE);
  }

  @ParameterizedTest
  @CsvSource({"dp2@0-1 | tp2@0-1, 0.3", "tp3@0-2 | dp3@0-2, 0.3", "dp4@0-3 | tp2dp2@0-3, 1e9"})
  void clipping_usesTheOneNormOfAllComponents(String layout, double clipNorm) {
    Experiment experiment = Experiment.under(layout);
    experiment.clipNorm = clipNorm;
    assertParity(experiment, F64_TOLERANCE);
    if (clipNorm < 1) {
      assertThat(control(experiment).steps())
          .as("the norm of every step, which clipping must lower")
          .allMatch(step -> step.gradientNorm() > clipNorm);
    }
  }

  @ParameterizedTest
  @EnumSource(Strategy.class)
  void everyStrategyOfTheBoundary_givesTheSameTraining(Strategy strategy) {
    Experiment experiment = Experiment.under("dp3@0-2 | tp2dp2@1-4");
    experiment.strategy = strategy;
    assertParity(experiment, F64_TOLERANCE);
  }

  @ParameterizedTest
  @ValueSource(strings = {"dp2@0-1 | tp2@0-1", "tp3@0-2 | dp3@0-2", "tp2dp2@0-3 | dp4@0-3"})
  void training_inBf16_staysCloseToThatOfOneRankInDoublePrecision(String layout) {
    Experiment experiment = Experiment.under(layout);
    experiment.dtype = DType.BF16;
    experiment.learningRate = 1e-3;
    Experiment exact = experiment.onOneRank();
    exact.dtype = DType.F64;
    Outcome truth = exact.run();
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree(layout);
    for (int i = 0; i < truth.steps().size(); i++) {
      double loss = truth.steps().get(i).loss();
      assertThat(outcome.steps().get(i).loss())
          .as("loss of step %d", i)
          .isCloseTo(loss, withPercentage(0.2));
      double norm = truth.steps().get(i).gradientNorm();
      assertThat(outcome.steps().get(i).gradientNorm())
          .as("norm of step %d", i)
          .isCloseTo(norm, withPercentage(3));
    }
  }

  @Test
  void sameLayout_givesTheSameBits() {
    Experiment experiment = Experiment.under("dp3@0-2 | tp2@0-1");
    experiment.dtype = DType.F32;
    experiment.backend = CpuBackend.BEST;
    Outcome first = experiment.run();
    assertThat(experiment.run().distanceTo(first)).isZero();
  }

  @Test
  void comparison_noticesOneWeightThatIsOff() {
    Outcome control = control(new Experiment());
    Map<String, double[]> weights = new HashMap<>(control.weights());
    double[] edited = weights.get("language.norm.weight").clone();
    edited[3] *= 1 + 1e-8;
    weights.put("language.norm.weight", edited);
    Outcome off =
        new Outcome(
            control.steps(),
            sorted(control, weights),
            control.moments(),
            control.shards(),
            control.optimizerSteps(),
            control.ranks());

    assertThatThrownBy(() -> off.assertEqualTo(control, F64_TOLERANCE, "edited"))
        .hasMessageContaining("language.norm.weight[3]");
  }

  private static Map<String, double[]> sorted(Outcome like, Map<String, double[]> weights) {
    Map<String, double[]> ordered = new LinkedHashMap<>();
    like.weights().keySet().forEach(name -> ordered.put(name, weights.get(name)));
    return ordered;
  }
}
