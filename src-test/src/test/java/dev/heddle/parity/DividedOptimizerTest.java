package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.runtime.DType;
import dev.heddle.train.model.CaptionModel;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * ZeRO-1: replicas divide the optimizer's state and work. Everything that is computed stays as it
 * was; the state of a rank gets smaller.
 */
class DividedOptimizerTest {
  /** Small enough that the tiny model has many, and that no number of ranks divides them. */
  private static final long SMALL_BUCKETS = 500;

  private static Experiment experiment(String layout) {
    Experiment experiment = Experiment.under(layout).steps(6);
    experiment.clipNorm = 0.3;
    experiment.microBatches = 2;
    return experiment;
  }

  private static Experiment undivided(Experiment divided) {
    Experiment same = divided.copy();
    same.layout = Layouts.of(Layouts.toText(divided.layout).replace("z@", "@"));
    return same;
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "dp2z@0-1 | dp2z@0-1",
        "dp3z@0-2 | dp3z@0-2",
        "dp3z@0-2 | dp3@0-2",
        "dp2z@0-1 | tp2@0-1",
        "tp2dp2z@0-3 | dp4z@0-3",
        "dp3z@0-2 | tp2dp2z@1-4",
        "tp3dp2z@0-5 | dp2z@1,3",
        "tp2z@0-1 | dp2z@2-3"
      })
  void training_isThatOfOneRank_andOfTheUndividedOptimizer(String layout) {
    for (long bucketBytes : new long[] {SMALL_BUCKETS, 1 << 22}) {
      Experiment experiment = experiment(layout);
      experiment.bucketBytes = bucketBytes;
      String what = experiment + ", buckets of " + bucketBytes;
      Outcome outcome = experiment.run();
      outcome.assertReplicasAgree(what);
      outcome.assertEqualTo(experiment.onOneRank().run(), 1e-9, what);
      Outcome undivided = undivided(experiment).run();
      outcome.assertEqualTo(undivided, 1e-12, what);
      assertThat(outcome.moments().keySet()).isEqualTo(undivided.moments().keySet());
      outcome
          .moments()
          .forEach(
              (name, values) ->
                  assertThat(values)
                      .as(name)
                      .containsExactly(undivided.moments().get(name), within(1e-12)));
    }
  }

  @Test
  void withoutClipping_theBitsAreThoseOfTheUndividedOptimizer() {
    // Clipping alone depends on the order in which the norm's squares are added.
    Experiment experiment = experiment("tp2dp2z@0-3 | dp3z@1-3");
    experiment.clipNorm = Double.POSITIVE_INFINITY;
    experiment.bucketBytes = SMALL_BUCKETS;
    Outcome outcome = experiment.run();
    Outcome undivided = undivided(experiment).run();
    assertThat(outcome.weights()).usingRecursiveComparison().isEqualTo(undivided.weights());
    assertThat(outcome.moments()).usingRecursiveComparison().isEqualTo(undivided.moments());
  }

  @ParameterizedTest
  @CsvSource({"2, F64, 500", "3, F64, 500", "4, F32, 4194304", "2, BF16, 500", "3, BF16, 4194304"})
  void state_isDividedByTheNumberOfReplicas_exactWeightsOfNarrowOnesToo(
      int replicas, DType dtype, long bucketBytes) {
    Experiment experiment =
        experiment("dp%1$dz@0-%2$d | dp%1$dz@0-%2$d".formatted(replicas, replicas - 1));
    experiment.dtype = dtype;
    experiment.bucketBytes = bucketBytes;
    List<RankLog> ranks = experiment.run().ranks();
    List<RankLog> whole = undivided(experiment).run().ranks();
    // Two moments and, of bf16, the exact weight.
    long bytesOfElement = dtype.accumulation().byteSize() * (dtype == DType.BF16 ? 3L : 2L);
    for (String component : List.of(CaptionModel.VISION, CaptionModel.LANGUAGE)) {
      long all = whole.getFirst().stateBytes.get(component);
      assertThat(ranks.stream().mapToLong(rank -> rank.stateBytes.get(component)).sum())
          .as("each element's state once")
          .isEqualTo(all);
      for (RankLog rank : ranks) {
        // An element a bucket may be over; there are fewer buckets than parameters, about 40.
        assertThat(rank.stateBytes.get(component))
            .isBetween(all / replicas - 40 * bytesOfElement, all / replicas + 40 * bytesOfElement);
      }
    }
  }

  @Test
  void narrowWeights_trainToTheSameBits() {
    Experiment experiment = experiment("dp2z@0-1 | dp3z@0-2");
    experiment.dtype = DType.BF16;
    experiment.clipNorm = Double.POSITIVE_INFINITY;
    Outcome outcome = experiment.run();
    outcome.assertReplicasAgree("bf16");
    assertThat(outcome.weights())
        .usingRecursiveComparison()
        .isEqualTo(undivided(experiment).run().weights());
  }

  @Test
  void step_reducesEachBucketToParts_andGathersTheUpdatedWeights() {
    Experiment experiment = experiment("dp2z@0-1 | dp2z@0-1");
    Outcome outcome = experiment.run();
    long[] sent = new long[2];
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = outcome.ranks().get(rank).communication.getLast();
      CommunicationStatistics.Traffic reduced = step.of(CommunicationKind.REDUCE_SCATTER);
      CommunicationStatistics.Traffic gathered = step.of(CommunicationKind.ALL_GATHER);
      assertThat(reduced.count()).as("one bucket a component").isEqualTo(2);
      assertThat(gathered.count()).isEqualTo(2);
      assertThat(gathered.receivedBytes()).isEqualTo(reduced.sentBytes());
      assertThat(gathered.sentBytes()).isEqualTo(reduced.receivedBytes());
      assertThat(step.count(CommunicationKind.ALL_REDUCE)).isZero();
      sent[rank] = gathered.sentBytes();
    }
    long weights =
        outcome.weights().values().stream().mapToLong(values -> values.length).sum() * Double.BYTES;
    assertThat(sent[0] + sent[1]).isEqualTo(weights);
  }

  @Test
  void skippedStep_gathersNothing() {
    Experiment experiment = experiment("dp2z@0-1 | dp2z@0-1").steps(2);
    experiment.wrapper =
        (rank, name, program) -> PoisonedProgram.ofGradient(program, 2, Double.NaN);
    Outcome outcome = experiment.run();
    assertThat(outcome.steps().get(1).skipped()).isTrue();
    for (RankLog rank : outcome.ranks()) {
      assertThat(rank.communication.get(0).count(CommunicationKind.ALL_GATHER)).isEqualTo(2);
      assertThat(rank.communication.get(1).count(CommunicationKind.ALL_GATHER)).isZero();
    }
    outcome.assertReplicasAgree("skipped");
    experiment.steps(1);
    assertThat(outcome.weights()).usingRecursiveComparison().isEqualTo(experiment.run().weights());
  }
}
