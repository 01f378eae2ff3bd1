package dev.heddle.simulated.training;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.StepControl;
import dev.heddle.runtime.cuda.CudaCounters;
import dev.heddle.runtime.cuda.KernelTraffic;
import dev.heddle.runtime.cuda.PaperCounters;
import dev.heddle.train.config.ConfigLoader;
import dev.heddle.train.config.ModelConfig;
import dev.heddle.train.config.RunConfig;
import dev.heddle.train.run.PaperTraining;
import dev.heddle.train.run.TrainingData;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * What a steady step of a model of 1 B parameters asks of one GPU, counted on paper: nothing is
 * computed, and no GPU of any kind is needed. That such figures are those of a GPU is what {@link
 * PaperStepTest} is for. Every figure is a formula in the model's sizes.
 */
class BillionParameterCountTest {
  private static final Path EXAMPLE = Path.of("..", "examples", "captions-1b.yaml");
  private static final int CHANNELS = 3;

  /** Bytes of a bf16 activation, and of an F32 sum, moment or exact weight. */
  private static final long B = 2;

  private static final long F = 4;

  private static RunConfig config;
  private static PaperTraining.Step step;
  private static PaperCounters counters;

  // The sizes that all formulas are in.
  private static ModelConfig.Vision vision;
  private static ModelConfig.Language language;
  private static long blocks;
  private static long words;
  private static long textLength;

  @BeforeAll
  static void countStep() {
    config = ConfigLoader.load(EXAMPLE, List.of());
    step = PaperTraining.step(config);
    counters = step.counters();
    vision = config.model().vision();
    language = config.model().language();
    blocks = vision.layers() + language.layers();
    TrainingData data = TrainingData.open(config);
    words = data.tokenizer().vocabularySize();
    textLength = data.textLength();
  }

  // ---- the model

  /** A tensor of a model: how often it is there, and its size. */
  private record Tensors(long count, long size) {}

  /** Parameters in the order of the model. */
  private static List<Tensors> tensors() {
    long h = vision.hiddenSize();
    long l = language.hiddenSize();
    long p = config.model().projector().hiddenSize();
    return List.of(
        new Tensors(1, patchValues() * h),
        new Tensors(1, h),
        new Tensors(1, vision.patchCount() * h),
        new Tensors(vision.layers(), blockParameters(h)),
        new Tensors(2, h),
        new Tensors(1, h * p),
        new Tensors(1, p),
        new Tensors(1, p * l),
        new Tensors(1, l),
        new Tensors(2, words * l),
        new Tensors(1, language.contextLength() * l),
        new Tensors(language.layers(), blockParameters(l)),
        new Tensors(2, l));
  }

  /** Four layers with their biases, and two norms. */
  private static long blockParameters(long width) {
    return 12 * width * width + 9 * width + 4 * width;
  }

  private static long parameters() {
    return tensors().stream().mapToLong(tensor -> tensor.count() * tensor.size()).sum();
  }

  private static long patchValues() {
    return (long) CHANNELS * vision.patchSize() * vision.patchSize();
  }

  private static long samples() {
    return config.train().globalBatch();
  }

  private static long imageRows() {
    return samples() * vision.patchCount();
  }

  private static long textRows() {
    return samples() * textLength;
  }

  private static long rows() {
    return imageRows() + textRows();
  }

  @Test
  void example_hasABillionParameters() {
    assertThat(parameters()).isBetween(1_000_000_000L, 1_050_000_000L);
  }

  // ---- launches

  /** One for each component. */
  private static final int OPTIMIZERS = 2;

  /**
   * Parameters: each block has two in each of its two norms and four layers; vision has patches
   * (2), positions and a norm (2), the projector 4; language words, head, positions and a norm (2).
   */
  private static long parameterTensors() {
    return 12 * blocks + 2 + 1 + 2 + 4 + 3 + 2;
  }

  @Test
  void launches_areThoseOfTheBlocksAndAFewMore() {
    // See StepCountTest, which has the same model but for its sizes.
    assertThat(counters.kernels("heddle_attention").launches()).isEqualTo(4 * blocks);
    assertThat(counters.kernels("heddle_norm").launches()).isEqualTo(6 * blocks + 2 * 3);
    assertThat(counters.kernels("heddle_elementwise").launches()).isEqualTo(6 * blocks + 11);
    assertThat(counters.kernels("heddle_softmax").launches()).isEqualTo(2);
    assertThat(counters.kernels("heddle_update").launches()).isEqualTo(OPTIMIZERS);
    assertThat(counters.kernels("heddle_step").launches()).isEqualTo(1);
    // The squares of all gradients; two sums in parts for each of two norms in a block and of two
    // others; two tables of positions; the sum of the losses.
    assertThat(counters.kernels("heddle_reduction").launches())
        .isEqualTo(2 + 4 * blocks + 4 + 2 + 1);
    assertThat(counters.kernels("heddle_scatter").launches()).isEqualTo(4);
    // In bf16 pictures are cast, logits for the loss, and their gradient back: three more copies.
    assertThat(counters.kernels("heddle_movement").launches()).isEqualTo(6 + 6 + 5 + 3);
    assertThat(counters.products()).isEqualTo(12 * blocks + 11);
    assertThat(counters.device().launches()).isEqualTo(counters.kernels("heddle").launches());
  }

  @Test
  void steadyStep_waitsForNothingAndAllocatesNothing() {
    CudaCounters device = counters.device();
    assertThat(device.hostSynchronizations()).isZero();
    // The host is a step ahead: it waits for the numbers of the step before this one.
    assertThat(device.trailingWaits()).isEqualTo(1);
    assertThat(device.bytesToHost())
        .isEqualTo((long) Double.BYTES * StepControl.stateLength(OPTIMIZERS));
    assertThat(device.deviceAllocations()).isZero();
    assertThat(device.bytesOnDevice()).isZero();
  }

  // ---- bytes

  @Test
  void optimizer_movesTheLeast() {
    // Exact weight and two moments read and written, gradient read, bf16 weight written. Besides,
    // an optimizer's four numbers, and eight that say where each tensor lies.
    KernelTraffic update = counters.kernels("heddle_update");
    assertThat(update.bytesRead())
        .isEqualTo(
            (3 * F + B) * parameters()
                + Double.BYTES * StepControl.UPDATE_LENGTH * OPTIMIZERS
                + Long.BYTES * 8 * parameterTensors());
    assertThat(update.bytesWritten()).isEqualTo((3 * F + B) * parameters());
  }

  /** A layer's product, and those of the gradients of its input and its weight: operands once. */
  private static long layer(long rows, long in, long out) {
    return B * 3 * (rows * (in + out) + in * out);
  }

  /** The bias is read with the first of the products, its gradient written with the last. */
  private static long layerWithBias(long rows, long in, long out) {
    return layer(rows, in, out) + B * 2 * out;
  }

  /** What the last block's layers behind attention do not take of rows that no word follows. */
  private static long unscoredProducts(long width) {
    return B * 3 * imageRows() * (2 * width + 5 * width + 5 * width);
  }

  private static long blockProducts(long rows, long width) {
    return layerWithBias(rows, width, 3 * width)
        + layerWithBias(rows, width, width)
        + layerWithBias(rows, width, 4 * width)
        + layerWithBias(rows, 4 * width, width);
  }

  @Test
  void products_readTheirOperandsOnceAndWriteTheirResultsOnce() {
    long h = vision.hiddenSize();
    long l = language.hiddenSize();
    long p = config.model().projector().hiddenSize();
    long patches = layerWithBias(imageRows(), patchValues(), h);
    // Pictures need no gradient: two of the three products.
    patches -= layer(imageRows(), patchValues(), h) / 3;
    assertThat(counters.kernels("cublas").bytes())
        .isEqualTo(
            patches
                + vision.layers() * blockProducts(imageRows(), h)
                + layerWithBias(imageRows(), h, p)
                + layerWithBias(imageRows(), p, l)
                + language.layers() * blockProducts(rows(), l)
                - unscoredProducts(l)
                + layer(textRows(), l, words));
  }

  /**
   * Attention of R rows of width H with h heads. Forward: queries, keys, values; result and
   * log-sum-exp. Backward: result and its gradient for dy y; four of R H and two sums of each row
   * and head, for the gradient of the queries, and again for those of keys and values.
   */
  private static long attention(long rows, long width, long heads) {
    long array = B * rows * width;
    long sums = F * rows * heads;
    return (4 * array + sums)
        + (2 * array + sums)
        + (5 * array + 2 * sums)
        + (6 * array + 2 * sums);
  }

  @Test
  void attention_readsItsInputsForEachOfItsLaunches() {
    assertThat(counters.kernels("heddle_attention").bytes())
        .isEqualTo(
            vision.layers() * attention(imageRows(), vision.hiddenSize(), vision.heads())
                + language.layers() * attention(rows(), language.hiddenSize(), language.heads()));
  }

  /** GELU forward 2 and backward 3 times 4 R H; two residuals of 3 R H forward and backward. */
  private static long blockElementwise(long rows, long width) {
    return B * rows * width * (4 * (2 + 3) + 4 * 3);
  }

  @Test
  void elementwise_isNotFusedWithWhatStandsBesideIt() {
    long blockwise =
        vision.layers() * blockElementwise(imageRows(), vision.hiddenSize())
            + language.layers() * blockElementwise(rows(), language.hiddenSize())
            // The last block's GELU, both residuals forward, and the second one backward.
            - B * imageRows() * language.hiddenSize() * (4 * (2 + 3) + 3 * 3);
    long projector = B * imageRows() * config.model().projector().hiddenSize() * (2 + 3);
    // Positions: rows and a table in, rows out. The loss and its mask: some hundred numbers.
    long positions =
        B
            * ((2 * imageRows() + vision.patchCount()) * vision.hiddenSize()
                + (2 * rows() + rows() / samples()) * language.hiddenSize());
    long rest = counters.kernels("heddle_elementwise").bytes() - blockwise - projector - positions;
    assertThat(rest).isBetween(0L, 100 * textRows());
  }

  @Test
  void step_movesLessThanTwiceTheLeast() {
    long moved = counters.kernels("").bytes();
    assertThat(step.leastBytes()).isGreaterThan((6 * F + B) * parameters());
    assertThat(moved).isGreaterThan(step.leastBytes());
    assertThat((double) moved / step.leastBytes()).isLessThan(1.75);
    // What several launches of an operator pass on to each other, or all read, is a small part.
    assertThat(counters.operators("").bytes()).isLessThan(moved);
    assertThat((double) moved / counters.operators("").bytes()).isLessThan(1.1);
  }
}
