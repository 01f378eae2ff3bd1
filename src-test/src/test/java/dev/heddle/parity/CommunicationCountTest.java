package dev.heddle.parity;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.nn.Parameter;
import dev.heddle.parallel.comm.CommunicationKind;
import dev.heddle.parallel.comm.CommunicationStatistics;
import dev.heddle.parallel.component.ModelGraph;
import dev.heddle.parallel.redistribute.BoundaryPlan;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.MetaDevice;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.model.CaptionModel;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * What one training step communicates, to the operation and the byte, worked out from the sizes of
 * the model. Legend: L layers, P patches of a picture, T text positions, C features of a row, b
 * bytes of a number.
 */
class CommunicationCountTest {
  private static final int STEPS = 2;
  private static final long SAMPLES = 5;
  private static final long PATCHES = TinyModel.CONFIG.vision().patchCount();
  private static final long TEXT = TinyModel.TEXT_LENGTH;
  private static final long VISION_LAYERS = TinyModel.CONFIG.vision().layers();
  private static final long VISION_SIZE = TinyModel.CONFIG.vision().hiddenSize();
  private static final long LANGUAGE_LAYERS = TinyModel.CONFIG.language().layers();
  private static final long LANGUAGE_SIZE = TinyModel.CONFIG.language().hiddenSize();
  private static final long BYTES = Double.BYTES;

  /** Operations of one kind and their bytes. */
  private record Expected(long count, long bytes) {
    Expected plus(Expected other) {
      return new Expected(count + other.count, bytes + other.bytes);
    }
  }

  /**
   * Tensor-parallel vision: each block leaves its two divided regions forward and enters them
   * backward; the projector once each.
   */
  private static Expected visionTensorParallel(long samples) {
    long rows = samples * PATCHES;
    long blocks = 2 * VISION_LAYERS * rows * VISION_SIZE;
    long forward = blocks + rows * LANGUAGE_SIZE;
    long backward = blocks + rows * VISION_SIZE;
    return new Expected(2 * (2 * VISION_LAYERS + 1), (forward + backward) * BYTES);
  }

  /**
   * Tensor-parallel language: the word vectors are summed, the blocks as above, the scored rows
   * enter the head, and the cross-entropy sends three numbers a scored row.
   */
  private static Expected languageTensorParallel(long samples) {
    long rows = samples * (PATCHES + TEXT);
    long scored = samples * TEXT;
    long blocks = 2 * LANGUAGE_LAYERS * rows * LANGUAGE_SIZE;
    long forward = rows * LANGUAGE_SIZE + blocks + 3 * scored;
    long backward = scored * LANGUAGE_SIZE + blocks;
    return new Expected(
        (1 + 2 * LANGUAGE_LAYERS + 3) + (1 + 2 * LANGUAGE_LAYERS), (forward + backward) * BYTES);
  }

  /** Data parallelism: every gradient once a step, in one bucket, however many microbatches. */
  private static Expected gradients(ModelGraph graph, String component) {
    return gradients(graph, component, Long.MAX_VALUE);
  }

  /**
   * The same in buckets: from the last parameter on, each filled until the next parameter is too
   * much for it.
   */
  private static Expected gradients(ModelGraph graph, String component, long bucketBytes) {
    try (MetaDevice meta = MetaDevice.open();
        MemoryScope scope = MemoryScope.open()) {
      List<Parameter> parameters =
          CaptionModel.globalParameters(
                  TinyModel.CONFIG, TinyModel.VOCABULARY, graph, meta, DType.F64)
              .get(component);
      long count = 0;
      long filled = 0;
      long bytes = 0;
      for (Parameter parameter : parameters.reversed()) {
        long own = parameter.globalShape().size() * BYTES;
        boolean next = count == 0 || filled + own > bucketBytes;
        count += next ? 1 : 0;
        filled = next ? own : filled + own;
        bytes += own;
      }
      return new Expected(count, bytes);
    }
  }

  private static void assertAllReduces(CommunicationStatistics step, Expected expected) {
    CommunicationStatistics.Traffic traffic = step.of(CommunicationKind.ALL_REDUCE);
    assertThat(new Expected(traffic.count(), traffic.sentBytes())).isEqualTo(expected);
    // One agreement on loss, tokens and norm.
    assertThat(step.count(CommunicationKind.HOST_ALL_REDUCE)).isEqualTo(1);
    assertThat(step.of(CommunicationKind.HOST_ALL_REDUCE).sentBytes()).isEqualTo(3 * Double.BYTES);
    assertThat(step.totalCount())
        .as("operations of other kinds than all-reduce and exchange")
        .isEqualTo(expected.count + 1 + step.count(CommunicationKind.EXCHANGE));
  }

  private static CommunicationStatistics step(Outcome outcome, int rank) {
    List<CommunicationStatistics> steps = outcome.ranks().get(rank).communication;
    CommunicationStatistics last = steps.getLast();
    assertThat(steps.getFirst()).as("the first step's").hasToString(last.toString());
    return last;
  }

  private static void assertExchanges(
      CommunicationStatistics step, BoundaryPlan plan, int rank, long sentBytes) {
    long planned =
        plan.forward().traffic().sent(rank) + plan.backward().orElseThrow().traffic().sent(rank);
    long received =
        plan.forward().traffic().received(rank)
            + plan.backward().orElseThrow().traffic().received(rank);
    CommunicationStatistics.Traffic traffic = step.of(CommunicationKind.EXCHANGE);
    assertThat(traffic.sentBytes()).isEqualTo(planned * BYTES).isEqualTo(sentBytes);
    assertThat(traffic.receivedBytes()).isEqualTo(received * BYTES);
    assertThat(step.bytesSentTo(1 - rank)).isEqualTo(sentBytes);
    assertThat(traffic.count())
        .as("a direction sends in one grouped exchange and receives in one")
        .isLessThanOrEqualTo(4);
  }

  private static BoundaryPlan plan(Experiment experiment) {
    return experiment
        .graph()
        .boundaries()
        .getFirst()
        .plan()
        .apply(experiment.batch(0).fused(1, 0, false).placement(CaptionModel.VISION));
  }

  @Test
  void visionDataParallel_languageTensorParallel_sendsWhatTheSizesSay() {
    Experiment experiment = Experiment.under("dp2@0-1 | tp2@0-1").steps(STEPS);
    Outcome outcome = experiment.run();
    Expected expected =
        languageTensorParallel(SAMPLES).plus(gradients(experiment.graph(), CaptionModel.VISION));
    long[] samplesOfRank = {3, 2};
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = step(outcome, rank);
      assertAllReduces(step, expected);
      // Forward each rank sends the other its pictures' rows; backward each has what it needs.
      long rows = samplesOfRank[rank] * PATCHES;
      assertExchanges(step, plan(experiment), rank, rows * LANGUAGE_SIZE * BYTES);
    }
  }

  @Test
  void visionTensorParallel_languageDataParallel_sendsWhatTheSizesSay() {
    Experiment experiment = Experiment.under("tp2@0-1 | dp2@0-1").steps(STEPS);
    Outcome outcome = experiment.run();
    Expected expected =
        visionTensorParallel(SAMPLES).plus(gradients(experiment.graph(), CaptionModel.LANGUAGE));
    long[] samplesOfRank = {3, 2};
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = step(outcome, rank);
      assertAllReduces(step, expected);
      // Forward each rank holds all rows already; backward it sends the other its gradients.
      long rows = samplesOfRank[rank] * PATCHES;
      assertExchanges(step, plan(experiment), rank, rows * LANGUAGE_SIZE * BYTES);
    }
  }

  @Test
  void microBatches_repeatTensorParallelTraffic_butReduceGradientsOnce() {
    Experiment experiment = Experiment.under("dp2@0-1 | tp2@0-1").steps(STEPS);
    experiment.microBatches = 2;
    Outcome outcome = experiment.run();
    Expected expected =
        languageTensorParallel(3)
            .plus(languageTensorParallel(2))
            .plus(gradients(experiment.graph(), CaptionModel.VISION));
    for (int rank = 0; rank < 2; rank++) {
      assertAllReduces(step(outcome, rank), expected);
    }
  }

  @Test
  void smallerBuckets_areMoreReductions_ofTheSameBytes() {
    Experiment experiment = Experiment.under("dp2@0-1 | tp2@0-1").steps(STEPS);
    for (long bytes : new long[] {1, 512, 2048}) {
      experiment.bucketBytes = bytes;
      Expected buckets = gradients(experiment.graph(), CaptionModel.VISION, bytes);
      assertThat(buckets.count).isGreaterThan(1);
      Outcome outcome = experiment.run();
      for (int rank = 0; rank < 2; rank++) {
        assertAllReduces(step(outcome, rank), languageTensorParallel(SAMPLES).plus(buckets));
      }
    }
  }

  @Test
  void oneRank_communicatesNothingButTheAgreement() {
    Outcome outcome = new Experiment().steps(STEPS).run();
    assertThat(step(outcome, 0).totalCount()).isEqualTo(1);
  }

  @Test
  void sameLayoutOnBothSides_exchangesNothing() {
    Outcome outcome = Experiment.under("dp2@0-1 | dp2@0-1").steps(STEPS).run();
    for (int rank = 0; rank < 2; rank++) {
      assertThat(step(outcome, rank).count(CommunicationKind.EXCHANGE)).isZero();
    }
  }
}
