package dev.heddle.nn;

import static dev.heddle.ops.GatherRows.gatherRows;
import static dev.heddle.ops.Reshape.reshape;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Recompute;
import dev.heddle.autograd.Tensor;
import dev.heddle.ops.RotaryTable;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A block that goes on with some of its rows: what it computes and what it leaves out. */
class BlockRowsTest extends ModelTest {
  private static final long SAMPLES = 2;
  private static final long SIZE = 8;

  /**
   * Rows of a block's result.
   *
   * @param rows which of the positions of two samples
   */
  record Case(
      BlockStyle style, AttentionMask mask, boolean rotary, boolean dropout, long... rows) {}

  private BlockContext context(Case tried) {
    BlockContext context = BlockContext.NONE;
    if (tried.rotary) {
      context = context.withRotary(RotaryTable.of(device, DType.F64, 0, LENGTH, 4, 100));
    }
    Shape shape = Shape.of(SAMPLES, LENGTH, SIZE);
    RandomKey key = RandomKey.of(SEED, "dropout").with(1);
    return tried.dropout ? context.withDropout(0.3, key, GlobalIndex.whole(shape)) : context;
  }

  static Stream<Case> cases() {
    BlockStyle gpt = BlockStyle.gpt(SIZE);
    BlockStyle llama = BlockStyle.llama(12);
    return Stream.of(
        new Case(gpt, AttentionMask.CAUSAL, false, false, 3, 4, 8, 9),
        new Case(gpt, AttentionMask.FULL, false, false, 0),
        new Case(gpt, AttentionMask.CAUSAL, false, false, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        new Case(gpt, AttentionMask.CAUSAL, false, false),
        new Case(llama, AttentionMask.CAUSAL, true, false, 9, 2, 4),
        new Case(llama, AttentionMask.CAUSAL, true, true, 1, 7));
  }

  /** The rows, and the gradients of input and parameters for one of the rows. */
  private static List<double[]> valueAndGradients(
      TransformerBlock block, NDArray input, NDArray dy, Function<Tensor, Tensor> rows) {
    Tensor x = Tensor.leaf(input);
    List<double[]> found = new ArrayList<>();
    try (MemoryScope step = MemoryScope.open()) {
      Tensor y = rows.apply(x);
      assertThat(y.shape()).isEqualTo(dy.shape());
      found.add(y.value().toDoubles());
      y.backward(dy);
      found.add(x.gradientOrZeros().toDoubles());
    }
    for (Parameter parameter : block.parameters()) {
      found.add(gradient(parameter).toDoubles());
      parameter.tensor().clearGradient();
    }
    return found;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void chosenRows_areThoseOfTheWholeBlock_andSoAreAllGradients(Case tried) {
    TransformerBlock block =
        new TransformerBlock(layers(DType.F64), "b", SIZE, 2, tried.mask, 1, tried.style);
    BlockContext context = context(tried);
    NDArray rows = longs(tried.rows);
    NDArray input = values(SAMPLES, LENGTH, SIZE);
    NDArray dy = values(tried.rows.length, SIZE);
    List<double[]> whole =
        valueAndGradients(
            block,
            input,
            dy,
            x -> gatherRows(reshape(block.forward(x, context), SAMPLES * LENGTH, SIZE), rows));
    List<double[]> chosen =
        valueAndGradients(block, input, dy, x -> block.forwardRows(x, rows, context));
    assertThat(chosen).hasSameSizeAs(whole);
    for (int i = 0; i < whole.size(); i++) {
      assertThat(chosen.get(i)).as("array %d", i).containsExactly(whole.get(i), within(1e-12));
    }
    List<double[]> recomputed =
        valueAndGradients(
            block,
            input,
            dy, // The rows are made anew where the block is computed anew.
            x ->
                Recompute.recompute(
                    again -> block.forwardRows(again, longs(tried.rows), context), x));
    for (int i = 0; i < chosen.size(); i++) {
      assertThat(recomputed.get(i)).as("array %d, computed again", i).isEqualTo(chosen.get(i));
    }
  }

  @Test
  void whatFollowsAttention_isKeptForChosenRowsOnly() {
    long sequence = 16;
    long size = 32;
    long chosen = 8;
    TransformerBlock block =
        new TransformerBlock(
            layers(DType.F64), "b", size, 2, AttentionMask.CAUSAL, 1, BlockStyle.gpt(size));
    Tensor x = Tensor.leaf(values(SAMPLES, sequence, size));
    NDArray rows = longs(12, 13, 14, 15, 28, 29, 30, 31);
    long unit = x.block().byteSize();
    long row = size * Double.BYTES;
    long before = device.memory().liveBytes();
    try (MemoryScope step = MemoryScope.open()) {
      Tensor y = block.forwardRows(x, rows, BlockContext.NONE);
      // Of all rows: norm 1, qkv 3, attention 1, mean and rstd of the norm, log-sum-exp of 2 heads.
      long whole = 5 * unit + (2 + 2) * SAMPLES * sequence * Double.BYTES;
      // Of the chosen: what attention saw 1, sum 1, norm 1, before and after GELU 8, result 1, and
      // the norm's mean and rstd.
      long ofChosen = chosen * (12 * row + 2 * Double.BYTES);
      assertThat(device.memory().liveBytes() - before).isEqualTo(whole + ofChosen);
      y.backward(NDArray.full(device, DType.F64, y.shape(), 1));
    }
  }
}
