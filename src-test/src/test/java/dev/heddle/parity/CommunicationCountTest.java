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
   * Tensor-parallel language: the word vectors are summed, the blocks as above, but that behind the
   * last one's attention there are only the scored rows; these enter the head, and the
   * cross-entropy sends three numbers a scored row.
   */
  private static Expected languageTensorParallel(long samples) {
    long rows = samples * (PATCHES + TEXT);
    long scored = samples * TEXT;
    long left = (2 * (LANGUAGE_LAYERS - 1) * rows + 2 * scored) * LANGUAGE_SIZE;
    long entered = ((2 * LANGUAGE_LAYERS - 1) * rows + scored) * LANGUAGE_SIZE;
    long forward = rows * LANGUAGE_SIZE + left + 3 * scored;
    long backward = scored * LANGUAGE_SIZE + entered;
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

  // ---- what the example configurations add: 8 samples, of which each rank of vision has 4

  private static final long ROWS = 8 * (PATCHES + TEXT);
  private static final long ROW_BYTES = LANGUAGE_SIZE * BYTES;

  /** What one of the two vision ranks sends the other, or gets back. */
  private static final long PICTURE_BYTES = 4 * PATCHES * ROW_BYTES;

  /** Rows of a rank of two in zigzag: of 9 positions in chunks of 3, 2, 2 and 2. */
  private static final long[] ZIGZAG_ROWS = {8 * (3 + 2), 8 * (2 + 2)};

  private static Experiment ofEight(String layout, int microBatches) {
    Experiment experiment = Experiment.under(layout).steps(STEPS);
    experiment.samples = 8;
    experiment.microBatches = microBatches;
    return experiment;
  }

  private static void assertTraffic(
      CommunicationStatistics step, CommunicationKind kind, long count, long sent, long received) {
    assertThat(step.of(kind))
        .as(kind.label())
        .isEqualTo(new CommunicationStatistics.Traffic(count, sent, received));
  }

  /** That there was nothing but these kinds and the one agreement. */
  private static void assertNothingBut(CommunicationStatistics step, CommunicationKind... kinds) {
    long counted = 1;
    assertThat(step.count(CommunicationKind.HOST_ALL_REDUCE)).isEqualTo(1);
    for (CommunicationKind kind : kinds) {
      counted += step.count(kind);
    }
    assertThat(step.totalCount()).isEqualTo(counted);
  }

  /** Every microbatch crosses the link between the stages and the boundary, there and back. */
  @Test
  void colocatedPipeline_sendsEachMicroBatchOnceOverEachLinkAndBack() {
    int microBatches = 4;
    Experiment experiment = ofEight("dp2@0-1 | pp2@0-1", microBatches);
    Outcome outcome = experiment.run();
    Expected vision = gradients(experiment.graph(), CaptionModel.VISION);
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = step(outcome, rank);
      assertTraffic(step, CommunicationKind.ALL_REDUCE, vision.count, vision.bytes, vision.bytes);
      // Stage 0 sends activations and gradients of rows, stage 1 gradients and rows.
      long bytes = ROWS * ROW_BYTES + PICTURE_BYTES;
      // Between stages one each way; at the boundary one each way too: what rank 0, which has both
      // sides, keeps it copies without an exchange.
      long exchanges = 4L * microBatches;
      assertTraffic(step, CommunicationKind.EXCHANGE, exchanges, bytes, bytes);
      assertNothingBut(step, CommunicationKind.ALL_REDUCE, CommunicationKind.EXCHANGE);
    }
  }

  /** Keys and values go round forward and again backward, and their gradients go home. */
  @Test
  void ring_sendsKeysAndValuesTwice_andTheirGradientsOnce() {
    Experiment experiment = ofEight("dp2@0-1 | cp2@0-1", 1);
    Outcome outcome = experiment.run();
    Expected reduced =
        gradients(experiment.graph(), CaptionModel.VISION)
            .plus(gradients(experiment.graph(), CaptionModel.LANGUAGE));
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = step(outcome, rank);
      long own = ZIGZAG_ROWS[rank];
      long other = ZIGZAG_ROWS[1 - rank];
      long sent = LANGUAGE_LAYERS * (2 * own + other) * 2 * ROW_BYTES;
      long received = LANGUAGE_LAYERS * (2 * other + own) * 2 * ROW_BYTES;
      assertTraffic(
          step,
          CommunicationKind.EXCHANGE,
          LANGUAGE_LAYERS * 3 + 4,
          sent + PICTURE_BYTES,
          received + PICTURE_BYTES);
      assertTraffic(
          step, CommunicationKind.ALL_REDUCE, reduced.count, reduced.bytes, reduced.bytes);
      assertNothingBut(step, CommunicationKind.ALL_REDUCE, CommunicationKind.EXCHANGE);
    }
  }

  /** The other way: a gather for the early and the late chunk of each layer, and its transpose. */
  @Test
  void gatheredKeys_areGatheredForward_andTheirGradientsScatteredBackward() {
    Outcome outcome = ofEight("dp2@0-1 | cp2all-gather@0-1", 1).run();
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = step(outcome, rank);
      long own = LANGUAGE_LAYERS * ZIGZAG_ROWS[rank] * 2 * ROW_BYTES;
      long all = LANGUAGE_LAYERS * ROWS * 2 * ROW_BYTES;
      assertTraffic(step, CommunicationKind.ALL_GATHER, 2 * LANGUAGE_LAYERS, own, all);
      assertTraffic(step, CommunicationKind.REDUCE_SCATTER, 2 * LANGUAGE_LAYERS, all, own);
      assertTraffic(step, CommunicationKind.EXCHANGE, 4, PICTURE_BYTES, PICTURE_BYTES);
    }
  }

  /**
   * Between regions rows are divided: what tensor parallelism sums in one all-reduce is one
   * reduce-scatter, and what it has whole is gathered. Parameters that all ranks hold have a
   * gradient of each rank's rows, summed in one bucket.
   */
  @Test
  void sequenceParallelism_turnsAllReducesIntoGathersAndScatters() {
    Experiment experiment = ofEight("dp2@0-1 | tp2sp@0-1", 1);
    Outcome outcome = experiment.run();
    long whole =
        outcome.shards().stream()
            .filter(shard -> shard.rank() == 0 && shard.name().startsWith("language."))
            .filter(shard -> shard.dim() < 0)
            .mapToLong(shard -> shard.values().length * BYTES)
            .sum();
    Expected vision = gradients(experiment.graph(), CaptionModel.VISION);
    long reduced = vision.bytes + whole + 3 * 8 * TEXT * BYTES;
    // Two regions a block, the embedding and the head; the same backward.
    long regions = 2 * (2 * LANGUAGE_LAYERS + 1);
    long[] rowsOfRank = {8 * 5, 8 * 4};
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = step(outcome, rank);
      long own = regions * rowsOfRank[rank] * ROW_BYTES;
      long all = regions * ROWS * ROW_BYTES;
      assertTraffic(step, CommunicationKind.ALL_GATHER, regions, own, all);
      assertTraffic(step, CommunicationKind.REDUCE_SCATTER, regions, all, own);
      assertTraffic(step, CommunicationKind.ALL_REDUCE, vision.count + 1 + 3, reduced, reduced);
      // All patches stand among the first positions, which are rank 0's: rank 1 only sends rows and
      // receives gradients.
      // What a rank keeps it copies without an exchange.
      long exchanges = 2;
      assertTraffic(step, CommunicationKind.EXCHANGE, exchanges, PICTURE_BYTES, PICTURE_BYTES);
      assertNothingBut(
          step,
          CommunicationKind.ALL_GATHER,
          CommunicationKind.REDUCE_SCATTER,
          CommunicationKind.ALL_REDUCE,
          CommunicationKind.EXCHANGE);
    }
  }

  /** Gradients are scattered and weights gathered: the bytes of the all-reduce, half each way. */
  @Test
  void dividedOptimizer_scattersGradientsAndGathersWeightsOnce() {
    Experiment experiment = ofEight("dp2z@0-1 | dp2z@0-1", 2);
    Outcome outcome = experiment.run();
    Expected whole =
        gradients(experiment.graph(), CaptionModel.VISION)
            .plus(gradients(experiment.graph(), CaptionModel.LANGUAGE));
    for (int rank = 0; rank < 2; rank++) {
      CommunicationStatistics step = step(outcome, rank);
      long half = whole.bytes / 2;
      assertTraffic(step, CommunicationKind.REDUCE_SCATTER, whole.count, whole.bytes, half);
      assertTraffic(step, CommunicationKind.ALL_GATHER, whole.count, half, whole.bytes);
      assertNothingBut(step, CommunicationKind.REDUCE_SCATTER, CommunicationKind.ALL_GATHER);
    }
  }
}
