package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.component.LossScaler;
import dev.heddle.parallel.component.StepResult;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.runtime.DType;
import dev.heddle.train.model.CaptionModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is said of one component: frozen, its own learning rate; and the scale of the loss. */
class ComponentTrainingTest {
  private static final String LAYOUT = "dp2@0-1 | tp2@0-1";

  private static Map<String, double[]> untrained(Experiment experiment) {
    Experiment none = experiment.copy();
    none.batches = List.of();
    return none.run().weights();
  }

  private static void assertTrained(Outcome outcome, Experiment experiment, Set<String> trained) {
    Map<String, double[]> initial = untrained(experiment);
    outcome
        .weights()
        .forEach(
            (name, values) -> {
              if (trained.stream().anyMatch(name::startsWith)) {
                assertThat(values).as(name).isNotEqualTo(initial.get(name));
              } else {
                assertThat(values).as(name).containsExactly(initial.get(name));
              }
            });
  }

  @ParameterizedTest
  @ValueSource(
      strings = {LAYOUT, "tp2@0-1 | dp2@0-1", "dp3@0-2 | tp2@3-4", "dp2z@0-1 | tp2dp2z@0-3"})
  void frozenVision_staysAsItIs_languageTrainsAsOnOneRank(String layout) {
    Experiment experiment = Experiment.under(layout).steps(6);
    experiment.frozen = Set.of(CaptionModel.VISION);
    experiment.clipNorm = 0.3;
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree(layout);
    outcome.assertEqualTo(experiment.onOneRank().run(), 1e-9, layout);
    assertTrained(outcome, experiment, Set.of(CaptionModel.LANGUAGE));
    assertThat(outcome.moments().keySet()).allMatch(name -> name.startsWith("language."));
    for (RankLog rank : outcome.ranks()) {
      assertThat(rank.stateBytes.getOrDefault(CaptionModel.VISION, 0L)).isZero();
    }
  }

  @Test
  void frozenVision_noGradientIsSentBack_andThePlanSaysSo() {
    Experiment experiment = Experiment.under("dp2@0-1 | dp3@0-2").steps(2);
    experiment.frozen = Set.of(CaptionModel.VISION);
    BoundaryPlan plan =
        experiment
            .graph()
            .boundaries()
            .getFirst()
            .plan()
            .apply(experiment.batch(0).fused(1, 0, false).placement(CaptionModel.VISION));
    plan.verify();
    assertThat(plan.backward()).isEmpty();
    assertThat(plan.table(8, 10)).contains("backward: nothing is sent, the source is frozen");
    assertThat(experiment.graph().schedule(1).toString())
        .doesNotContain("-gradient(" + CaptionModel.BOUNDARY);
    Outcome outcome = experiment.run();
    for (int rank = 0; rank < 3; rank++) {
      CommunicationStatistics step = outcome.ranks().get(rank).communication.getLast();
      assertThat(step.of(CommunicationKind.EXCHANGE).sentBytes())
          .isEqualTo(plan.forward().traffic().sent(rank) * Double.BYTES);
      // The language's gradients only.
      assertThat(step.count(CommunicationKind.ALL_REDUCE)).isEqualTo(1);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {LAYOUT, "tp2@0-1 | dp2@0-1", "dp3@0-2 | tp2@3-4"})
  void frozenLanguage_passesGradientsOnToVision(String layout) {
    Experiment experiment = Experiment.under(layout).steps(6);
    experiment.frozen = Set.of(CaptionModel.LANGUAGE);
    Outcome outcome = experiment.run();
    outcome.assertEqualTo(experiment.onOneRank().run(), 1e-9, layout);
    assertTrained(outcome, experiment, Set.of(CaptionModel.VISION));
    // The first step's gradient of vision is that of a run that trains both.
    Experiment both = experiment.copy().steps(1);
    both.frozen = Set.of();
    Map<String, double[]> together = both.run().weights();
    outcome = experiment.steps(1).run();
    for (Map.Entry<String, double[]> weight : outcome.weights().entrySet()) {
      if (weight.getKey().startsWith(CaptionModel.VISION)) {
        assertThat(weight.getValue())
            .as(weight.getKey())
            .containsExactly(together.get(weight.getKey()), within(1e-12));
      }
    }
  }

  @Test
  void learningRates_ofEachComponent_areItsOwn_underAnyLayout() {
    Experiment experiment = Experiment.under("dp2z@0-1 | tp2@0-1").steps(5);
    experiment.learningRates = Map.of(CaptionModel.VISION, 3e-3);
    experiment.run().assertEqualTo(experiment.onOneRank().run(), 1e-9, "two rates");

    Outcome one = experiment.steps(1).run();
    Experiment equal = experiment.copy();
    equal.learningRates = Map.of();
    Map<String, double[]> same = equal.run().weights();
    one.weights()
        .forEach(
            (name, values) -> {
              if (name.startsWith(CaptionModel.LANGUAGE)) {
                assertThat(values).as(name).containsExactly(same.get(name));
              } else {
                assertThat(values).as(name).isNotEqualTo(same.get(name));
              }
            });
  }

  @Test
  void lossScaleThatIsAPowerOfTwo_changesNoBit_andNoReport() {
    Experiment plain = Experiment.under(LAYOUT).steps(4);
    plain.clipNorm = 0.3;
    Experiment scaled = plain.copy();
    scaled.scaler = () -> LossScaler.fixed(1024);
    Outcome expected = plain.run();
    Outcome outcome = scaled.run();
    assertThat(outcome.steps()).isEqualTo(expected.steps());
    assertThat(outcome.weights()).usingRecursiveComparison().isEqualTo(expected.weights());
    scaled.scaler = () -> LossScaler.fixed(1000);
    scaled.run().assertEqualTo(expected, 1e-9, "scale 1000");
  }

  @ParameterizedTest
  @CsvSource({
    "dp2@0-1 | tp2@0-1, vision, 1",
    "dp2z@0-1 | tp2dp2z@0-3, vision, 0",
    "tp2@0-1 | dp2z@0-1, language, 1",
    "dp3@0-2 | tp2@3-4, language, 4",
    "dp3z@0-2 | tp2@3-4, vision, 2"
  })
  void gradientThatOverflowsInOneComponent_halvesTheScaleEverywhere_andTrainingGoesOn(
      String layout, String component, int rank) {
    int poisoned = 3;
    Experiment clean = Experiment.under(layout);
    clean.scaler = () -> LossScaler.adaptive(256, 2);
    clean.batches = List.of(0, 1, 2, 4, 5);
    Experiment experiment = clean.copy();
    experiment.batches = List.of(0, 1, 2, poisoned, 4, 5);
    experiment.wrapper =
        (at, name, program) ->
            at == rank && name.equals(component)
                ? PoisonedProgram.ofGradient(program, poisoned, Double.POSITIVE_INFINITY)
                : program;

    Outcome outcome = experiment.run();

    assertThat(outcome.steps().get(poisoned).skipped()).isTrue();
    // Doubled after two finite steps, halved by the one that is not, doubled after two more.
    for (RankLog log : outcome.ranks()) {
      assertThat(log.lossScales).containsExactly(256.0, 512.0, 512.0, 256.0, 256.0, 512.0);
    }
    outcome.assertReplicasAgree(layout);
    Outcome without = clean.run();
    // The scale is a power of two at any time: the same bits as if the batch had not been.
    assertThat(outcome.weights()).usingRecursiveComparison().isEqualTo(without.weights());
    assertThat(outcome.moments()).usingRecursiveComparison().isEqualTo(without.moments());
    List<StepResult> finite = new ArrayList<>(outcome.steps());
    finite.remove(poisoned);
    assertThat(finite).isEqualTo(without.steps());
  }

  @Test
  void scaleThatIsTooLarge_fallsUntilGradientsFit() {
    Experiment experiment = Experiment.under(LAYOUT).steps(6);
    experiment.dtype = DType.F32;
    // Squares beyond a float's range would not tell: the gradients themselves must overflow.
    experiment.scaler = () -> LossScaler.adaptive(0x1p127, 1000);
    Outcome outcome = experiment.run();
    List<Boolean> skipped = outcome.steps().stream().map(StepResult::skipped).toList();
    assertThat(skipped.getFirst()).isTrue();
    assertThat(skipped.getLast()).isFalse();
    outcome.assertReplicasAgree("falling scale");
  }
}
