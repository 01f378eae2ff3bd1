package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.parallel.component.StepResult;
import dev.heddle.train.model.CaptionModel;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Sums over ranks, one N, one norm, one decision: what a step reports is counted once whatever the
 * layout, and a gradient that is not finite anywhere stops the update everywhere.
 */
class GradientRuleTest {
  @ParameterizedTest
  @ValueSource(
      strings = {"dp2@0-1 | tp2@0-1", "dp3@0-2 | dp3@0-2", "tp2dp2@0-3 | tp3@0-2", "dp2@3-4 | dp5@0-4"})
  void tokensAndLoss_areThoseOfTheGlobalBatchOnce(String layout) {
    Experiment experiment = Experiment.under(layout).steps(3);
    experiment.microBatches = 2;
    List<StepResult> steps = experiment.run().steps();
    for (int i = 0; i < steps.size(); i++) {
      assertThat(steps.get(i).tokens()).isEqualTo(experiment.batch(i).validTokens());
    }
    // Weights of 0.02 say nothing yet: the mean over tokens is the log of the word count.
    assertThat(steps.getFirst().loss()).isCloseTo(Math.log(TinyModel.VOCABULARY), within(0.05));
  }

  @Test
  void allTargetsPadding_givesZeroLossAndOnlyDecaysWeights() {
    Experiment experiment = Experiment.under("dp2@0-1 | tp2@0-1").steps(2);
    experiment.padded = new int[] {0, 1, 2, 3, 4};
    Outcome outcome = experiment.run();
    assertThat(outcome.steps()).containsOnly(new StepResult(0, 0, 0, false));
    outcome.assertReplicasAgree("all padding");
    outcome.assertEqualTo(experiment.onOneRank().run(), 1e-12, "all padding");
  }

  @ParameterizedTest
  @CsvSource({
    "dp2@0-1 | tp2@0-1, vision, 1, NaN",
    "dp2@0-1 | tp2@0-1, language, 0, Infinity",
    "tp2@0-1 | dp2@0-1, language, 1, NaN",
    "tp2@0-1 | dp2@0-1, vision, 1, Infinity",
    "dp3@0-2 | tp2@3-4, vision, 2, NaN",
    "dp3@0-2 | tp2@3-4, language, 4, NaN",
    "tp2dp2@0-3 | dp4@0-3, vision, 3, -Infinity"
  })
  void gradientThatIsNotFinite_onOneRankOfOneComponent_skipsTheStepEverywhere(
      String layout, String component, int rank, double factor) {
    int poisoned = 3;
    Experiment clean = Experiment.under(layout);
    clean.batches = List.of(0, 1, 2, 4, 5);
    Experiment experiment = clean.copy();
    experiment.batches = List.of(0, 1, 2, poisoned, 4, 5);
    experiment.wrapper =
        (at, name, program) ->
            at == rank && name.equals(component)
                ? PoisonedProgram.ofGradient(program, poisoned, factor)
                : program;

    Outcome outcome = experiment.run();

    StepResult skipped = outcome.steps().get(poisoned);
    assertThat(skipped.skipped()).isTrue();
    assertThat(skipped.loss()).isFinite();
    assertThat(skipped.gradientNorm()).isNotFinite();
    outcome.assertReplicasAgree(layout);
    assertThat(outcome.optimizerSteps()).containsOnly(5L);
    // As if the step had never been: same bits as a run without its batch.
    Outcome without = clean.run();
    assertThat(outcome.weights()).usingRecursiveComparison().isEqualTo(without.weights());
    assertThat(outcome.moments()).usingRecursiveComparison().isEqualTo(without.moments());
    assertThat(outcome.steps().subList(4, 6)).isEqualTo(without.steps().subList(3, 5));
  }

  @Test
  void lossThatIsNotANumber_skipsTheStepToo() {
    Experiment experiment = Experiment.under("dp2@0-1 | tp2@0-1").steps(3);
    Experiment clean = experiment.copy();
    experiment.wrapper =
        (rank, name, program) ->
            name.equals(CaptionModel.VISION) && rank == 1
                ? PoisonedProgram.ofValue(program, 2, Double.NaN)
                : program;
    Outcome outcome = experiment.run();
    assertThat(outcome.steps().get(2).skipped()).isTrue();
    assertThat(outcome.steps().get(2).loss()).isNaN();
    assertThat(outcome.weights())
        .usingRecursiveComparison()
        .isEqualTo(clean.steps(2).run().weights());
  }

  @Test
  void firstStepThatIsSkipped_leavesAllAsItWasMade() {
    Experiment experiment = Experiment.under("dp2@0-1 | tp2@0-1").steps(1);
    experiment.wrapper =
        (rank, name, program) -> PoisonedProgram.ofGradient(program, 0, Double.NaN);
    Outcome outcome = experiment.run();
    assertThat(outcome.optimizerSteps()).containsOnly(0L);
    outcome.moments().forEach((name, values) -> assertThat(values).as(name).containsOnly(0));
  }
}
