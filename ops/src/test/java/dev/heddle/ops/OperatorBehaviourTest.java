package dev.heddle.ops;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.GradientMode;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** Values, views, what is saved, empty inputs and refusals of operators. */
class OperatorBehaviourTest extends DeviceTest {
  private Tensor constant(Shape shape, double... values) {
    return Tensor.constant(array(shape, values));
  }

  // ---- values

  @Test
  void linear_multipliesByTheTransposedWeightAndAddsTheBias() {
    Tensor x = constant(Shape.of(1, 2), 2, 3);
    Tensor w = constant(Shape.of(3, 2), 1, 0, 0, 1, 1, 1);
    Tensor b = constant(Shape.of(3), 10, 20, 30);
    assertThat(Linear.linear(x, w, b).value().toDoubles()).containsExactly(12, 23, 35);
    assertThat(Linear.linear(x, w, null, UnaryOperation.SQUARE).value().toDoubles())
        .containsExactly(4, 9, 25);
  }

  @Test
  void swiglu_gatesTheSecondHalfWithTheFirst() {
    double silu = 2 / (1 + Math.exp(-2));
    assertThat(SwiGlu.swiglu(constant(Shape.of(2), 2, 3)).value().item())
        .isCloseTo(3 * silu, within(1e-15));
  }

  @Test
  void crossEntropySum_sumsOverValidRowsOnly() {
    Tensor logits = constant(Shape.of(3, 2), 0, 0, 100, -100, 1, 3);
    double first = Math.log(2);
    double third = Math.log1p(Math.exp(2));
    assertThat(CrossEntropy.crossEntropySum(logits, longs(1, -1, 0)).item())
        .isCloseTo(first + third, within(1e-12));
    assertThat(CrossEntropy.crossEntropySum(logits, longs(-1, -1, -7)).item()).isEqualTo(0);
    assertThat(CrossEntropy.validCount(longs(1, -1, 0))).isEqualTo(2);
    assertThat(CrossEntropy.crossEntropySum(logits, longs(1, -1, 0)).shape()).isEqualTo(Shape.of());
  }

  @Test
  void placeRows_replacesRowsAndLeavesOutNegativeOnes() {
    Tensor base = constant(Shape.of(3, 2), 1, 2, 3, 4, 5, 6);
    Tensor values = constant(Shape.of(2, 2), 10, 20, 30, 40);
    assertThat(PlaceRows.placeRows(base, longs(2, 0), values).value().toDoubles())
        .containsExactly(30, 40, 3, 4, 10, 20);
    assertThat(PlaceRows.placeRows(base, longs(-1, 1), values).value().toDoubles())
        .containsExactly(1, 2, 30, 40, 5, 6);
  }

  @Test
  void placeRows_doesNotLetReplacedValuesThrough() {
    Tensor base = constant(Shape.of(2, 1), Double.NaN, 1);
    Tensor values = constant(Shape.of(1, 1), 5);
    assertThat(PlaceRows.placeRows(base, longs(0), values).value().toDoubles())
        .containsExactly(5, 1);
  }

  @Test
  void patchify_ordersPatchesByRowAndValuesByChannel() {
    // One image of 2 channels, 2 rows, 4 columns; the value tells channel, row and column.
    double[] chw = {0, 1, 2, 3, 10, 11, 12, 13, 100, 101, 102, 103, 110, 111, 112, 113};
    double[] expected = {0, 1, 10, 11, 100, 101, 110, 111, 2, 3, 12, 13, 102, 103, 112, 113};
    Tensor images = constant(Shape.of(1, 2, 2, 4), chw);
    Tensor patches = Patchify.patchify(images, 2);
    assertThat(patches.shape()).isEqualTo(Shape.of(1, 2, 8));
    assertThat(patches.value().toDoubles()).containsExactly(expected);
    Tensor channelsLast = Tensor.constant(images.value().permute(0, 2, 3, 1).contiguous());
    assertThat(Patchify.patchifyChannelsLast(channelsLast, 2).value().toDoubles())
        .containsExactly(expected);
  }

  @Test
  void rotary_turnsPairsByThePositionsAngleAndKeepsScoresRelative() {
    Tensor x = constant(Shape.of(1, 2, 1, 2), 1, 0, 1, 0);
    RotaryTable table = RotaryTable.of(device, DType.F64, 5, 2, 2, 100);
    double[] y = Rotary.rotary(x, table).value().toDoubles();
    assertThat(y)
        .containsExactly(
            new double[] {Math.cos(5), Math.sin(5), Math.cos(6), Math.sin(6)}, within(1e-15));
    // The product of two rotated vectors depends on the distance of their positions only.
    RotaryTable later = RotaryTable.at(device, DType.F64, new long[] {20, 21}, 2, 100);
    double[] z = Rotary.rotary(x, later).value().toDoubles();
    assertThat(y[0] * y[2] + y[1] * y[3]).isCloseTo(z[0] * z[2] + z[1] * z[3], within(1e-14));
  }

  @Test
  void packedAttention_equalsUnpackedAttention() {
    NDArray qkv = values(2, 5, 3 * 2, 4);
    RotaryTable table = RotaryTable.of(device, DType.F64, 0, 5, 4, 10000);
    Tensor q = Tensor.constant(qkv.slice(2, 0, 2));
    Tensor k = Tensor.constant(qkv.slice(2, 2, 4));
    Tensor v = Tensor.constant(qkv.slice(2, 4, 6));
    double[] plain = Attention.attention(q, k, v, AttentionMask.CAUSAL, 0.5).value().toDoubles();
    double[] rotated =
        Attention.attention(
                Rotary.rotary(q, table), Rotary.rotary(k, table), v, AttentionMask.CAUSAL, 0.5)
            .value()
            .toDoubles();
    Tensor packed = Tensor.constant(qkv);
    assertThat(Attention.packed(packed, 2, AttentionMask.CAUSAL, 0.5).value().toDoubles())
        .isEqualTo(plain);
    assertThat(
            Attention.packedRotary(packed, 2, AttentionMask.CAUSAL, 0.5, table).value().toDoubles())
        .isEqualTo(rotated);
  }

  @Test
  void packedRotary_overwritesResultsButNotLeaves() {
    RotaryTable table = RotaryTable.of(device, DType.F64, 1, 3, 4, 10000);
    Tensor leaf = leaf(1, 3, 3, 4);
    double[] before = leaf.value().toDoubles();
    Attention.packedRotary(leaf, 1, AttentionMask.FULL, 1, table);
    assertThat(leaf.value().toDoubles()).isEqualTo(before);
    Tensor saved = Softmax.softmax(leaf);
    Attention.packedRotary(saved, 1, AttentionMask.FULL, 1, table);
    assertThatThrownBy(() -> Sum.sum(saved).backward())
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("backward of Softmax")
        .hasMessageContaining("changed in place");
  }

  @Test
  void dropout_isTheSameForAShardAsForTheWhole() {
    RandomKey key = RandomKey.of(SEED, "dropout");
    NDArray whole = NDArray.full(device, DType.F64, Shape.of(4, 6), 1);
    double[] all =
        Dropout.dropout(Tensor.constant(whole), 0.5, key, GlobalIndex.whole(whole.shape()))
            .value()
            .toDoubles();
    assertThat(all).containsOnly(0, 2).contains(0.0).contains(2.0);
    Tensor part = Tensor.constant(NDArray.full(device, DType.F64, Shape.of(2, 6), 1));
    double[] shard =
        Dropout.dropout(part, 0.5, key, GlobalIndex.shard(whole.shape(), 0, 1)).value().toDoubles();
    assertThat(shard).isEqualTo(Arrays.copyOfRange(all, 6, 18));
  }

  @Test
  void cast_castsTheGradientBack() {
    Tensor x = leaf(2, 3);
    Tensor y = Cast.cast(x, DType.F32);
    assertThat(y.dtype()).isEqualTo(DType.F32);
    Sum.sum(Square.square(y)).backward();
    NDArray gradient = x.gradient();
    assertThat(gradient).isNotNull();
    assertThat(gradient.dtype()).isEqualTo(DType.F64);
    double[] values = x.value().toDoubles();
    for (int i = 0; i < values.length; i++) {
      assertThat(gradient.toDoubles()[i]).isCloseTo(2 * values[i], within(1e-6));
    }
    assertThat(Cast.cast(x, DType.F64)).isSameAs(x);
    assertThat(Cast.cast(x, DType.I64).requiresGradient()).isFalse();
  }

  // ---- views and what is saved

  @Test
  void viewOperators_copyNothing() {
    Tensor x = leaf(4, 6);
    long live = device.memory().liveBytes();
    List<Tensor> views =
        List.of(
            Reshape.reshape(x, 2, 12),
            Transpose.transpose(x, 0, 1),
            Slice.slice(x, 1, 2, 4),
            Reshape.reshape(Slice.slice(x, 1, 2, 4), 4, 1, 2));
    for (Tensor view : views) {
      assertThat(view.block()).isSameAs(x.block());
    }
    assertThat(device.memory().liveBytes()).isEqualTo(live);
  }

  @Test
  void operators_saveOnlyWhatTheNeededGradientsRead() {
    Tensor x = leaf(3, 4);
    Tensor w = leaf(5, 4);
    Tensor b = leaf(5);
    Tensor xConstant = Tensor.constant(values(3, 4));
    Tensor wConstant = Tensor.constant(values(5, 4));
    assertThat(saves(() -> Linear.linear(x, wConstant, null), x, wConstant)).isEqualTo("01");
    assertThat(saves(() -> Linear.linear(xConstant, w, b), xConstant, w, b)).isEqualTo("100");
    assertThat(saves(() -> Linear.linear(xConstant, wConstant, b), xConstant, wConstant, b))
        .isEqualTo("000");
    assertThat(saves(() -> MatMul.matmul(x, false, wConstant, true), x, wConstant)).isEqualTo("01");
    assertThat(saves(() -> Multiply.multiply(x, xConstant), x, xConstant)).isEqualTo("01");
    assertThat(saves(() -> Add.add(x, x), x)).isEqualTo("0");
    Tensor norm = leaf(4);
    Tensor normConstant = Tensor.constant(values(4));
    assertThat(
            saves(
                () -> LayerNorm.layerNorm(xConstant, normConstant, norm, 1e-5),
                xConstant,
                normConstant,
                norm))
        .isEqualTo("000");
  }

  /** For each array, how many more references a recorded operator holds on it. */
  private static String saves(Supplier<Tensor> operator, Tensor... arrays) {
    int[] before = new int[arrays.length];
    for (int i = 0; i < arrays.length; i++) {
      before[i] = arrays[i].block().references();
    }
    assertThat(operator.get().requiresGradient()).isTrue();
    StringBuilder counts = new StringBuilder();
    for (int i = 0; i < arrays.length; i++) {
      counts.append(arrays[i].block().references() - before[i]);
    }
    return counts.toString();
  }

  @Test
  void linearWithActivation_keepsItsInputOnlyWhenRecording() {
    Tensor x = leaf(8, 8);
    Tensor w = Tensor.constant(values(8, 8));
    long live = device.memory().liveBytes();
    Linear.linear(x, w, null, UnaryOperation.GELU);
    assertThat(device.memory().liveBytes() - live).isEqualTo(2 * 512);
    live = device.memory().liveBytes();
    try (GradientMode off = GradientMode.noGrad()) {
      Linear.linear(x, w, null, UnaryOperation.GELU);
    }
    assertThat(device.memory().liveBytes() - live).isEqualTo(512);
  }

  // ---- nothing to compute

  /** A component that got no sample in a step still runs its model, with zero rows. */
  @Test
  void operators_acceptZeroRows() {
    Tensor x = leaf(0, 4);
    Tensor w = leaf(3, 4);
    Tensor b = leaf(3);
    Tensor norm = leaf(4);
    Tensor y = LayerNorm.layerNorm(x, norm, norm, 1e-5);
    y = RmsNorm.rmsNorm(y, norm, 1e-5);
    y = Add.add(y, norm);
    Tensor z = Linear.linear(y, w, b, UnaryOperation.GELU);
    Sum.sum(z).backward();
    assertThat(w.gradient().toDoubles()).containsOnly(0);
    assertThat(b.gradient().toDoubles()).containsOnly(0);
    assertThat(norm.gradient().toDoubles()).containsOnly(0);
    assertThat(x.gradient().shape()).isEqualTo(Shape.of(0, 4));

    Tensor qkv = leaf(0, 5, 3, 4);
    Sum.sum(Attention.packed(qkv, 1, AttentionMask.CAUSAL, 1)).backward();
    Tensor logits = leaf(0, 7);
    Tensor loss = CrossEntropy.crossEntropySum(logits, longs());
    assertThat(loss.item()).isEqualTo(0);
    loss.backward();
    Tensor table = leaf(6, 4);
    Sum.sum(Embedding.embedding(longs(), table)).backward();
    assertThat(table.gradient().toDoubles()).containsOnly(0);
    Tensor base = leaf(2, 4);
    Sum.sum(PlaceRows.placeRows(base, longs(), x)).backward();
    assertThat(base.gradient().toDoubles()).containsOnly(1);
    Tensor images = leaf(0, 3, 4, 4);
    assertThat(Patchify.patchify(images, 2).shape()).isEqualTo(Shape.of(0, 4, 12));
    Sum.sum(SwiGlu.swiglu(x)).backward();
    Sum.sum(Softmax.softmax(x)).backward();
    Sum.sum(Concat.concat(0, x, base)).backward();
    Sum.sum(Slice.slice(base, 0, 1, 1)).backward();
    Sum.sum(MatMul.matmul(x, false, w, true)).backward();
    Tensor heads = leaf(0, 5, 2, 4);
    RotaryTable angles = RotaryTable.of(device, DType.F64, 0, 5, 4, 100);
    Sum.sum(Rotary.rotary(heads, angles)).backward();
  }

  // ---- refusals

  @Test
  void badShapes_areRefusedWithWhatWasGotAndWanted() {
    Tensor a = leaf(2, 3);
    refused(
        () -> Linear.linear(a, leaf(4, 5), null),
        "Linear.linear: w is F64[4,5]; wanted [N,3] for x F64[2,3]. Weights are stored [out, in].");
    refused(
        () -> Linear.linear(a, leaf(4, 3), leaf(3)),
        "Linear.linear: b is F64[3]; wanted [4] for w F64[4,3]. There is one bias an output"
            + " feature.");
    refused(
        () -> Linear.linear(a, Cast.cast(leaf(4, 3), DType.F32), null),
        "Linear.linear: w is F32[4,3]; wanted F64 like x, which is F64[2,3]. Convert one of them"
            + " with Cast.cast.");
    refused(
        () -> MatMul.matmul(a, leaf(2, 3)),
        "MatMul.matmul: b is F64[2,3]; wanted [3,N] for a F64[2,3]. The inner sizes, and the batch"
            + " sizes, must be equal.");
    refused(
        () -> MatMul.matmul(leaf(2, 2, 3), leaf(3, 2)),
        "MatMul.matmul: b is F64[3,2]; wanted [2,3,N] for a F64[2,2,3]. For one matrix shared by"
            + " the batch use Linear.linear.");
    refused(
        () -> Add.add(a, leaf(2)),
        "Add.add: b is F64[2]; wanted a shape that broadcasts with a, F64[2,3]. Sizes, aligned at"
            + " the innermost dim, must be equal or 1.");
    refused(
        () -> LayerNorm.layerNorm(a, leaf(2), null, 1e-5),
        "LayerNorm.layerNorm: w is F64[2]; wanted [3] for x F64[2,3]. There is one value a feature"
            + " of the innermost dim.");
    refused(
        () -> SwiGlu.swiglu(a),
        "SwiGlu.swiglu: x is F64[2,3]; wanted [..,2H]. The innermost dim holds the gates, then the"
            + " values.");
    refused(
        () ->
            Attention.attention(
                leaf(1, 2, 3, 4), leaf(1, 2, 2, 4), leaf(1, 2, 2, 4), AttentionMask.FULL, 1),
        "Attention.attention: k is F64[1,2,2,4]; wanted [1,Sk,Hk,4] for q F64[1,2,3,4]. Split heads"
            + " with Reshape.reshape; H must be a multiple of Hk.");
    refused(
        () -> Attention.packed(leaf(1, 2, 3, 4), 2, AttentionMask.FULL, 1),
        "Attention.packed: qkv is F64[1,2,3,4]; wanted [B,S,2 + 2 Hk,D] for 2 heads, a multiple of"
            + " Hk. Heads of q come first, then those of k, then those of v.");
    refused(
        () -> Concat.concat(0, a, leaf(2, 4)),
        "Concat.concat: part 1 is F64[2,4]; wanted the sizes of part 0, F64[2,3], but along dim 0."
            + " Only the joined dim may differ.");
    refused(
        () -> Patchify.patchify(leaf(1, 3, 6, 5), 2),
        "Patchify.patchify: images is F64[1,3,6,5]; wanted [B,C,H,W] with H and W multiples of the"
            + " patch size 2. Resize the images or choose a patch size that divides them.");
    refused(
        () -> CrossEntropy.crossEntropySum(a, longs(1)),
        "CrossEntropy.crossEntropySum: targets is I64[1]; wanted I64[2] for logits F64[2,3]. There"
            + " is one target a row.");
    refused(
        () -> PlaceRows.placeRows(leaf(4, 3), longs(1, 2, 3), a),
        "PlaceRows.placeRows: values is F64[2,3]; wanted [3,3] for base F64[4,3] and 3 rows. There"
            + " is one value a row placed.");
    refused(
        () -> PlaceRows.placeRows(leaf(4, 3), longs(1, 1), a),
        "RowPlacement: value 1 goes to row 1, which an earlier value replaces already; wanted each"
            + " row at most once");
    refused(
        () -> PlaceRows.placeRows(leaf(4, 3), longs(1, 4), a),
        "RowPlacement: value 1 goes to row 4; wanted a row below 4");
    refused(
        () -> Dropout.dropout(a, 1, RandomKey.of(1, "x"), GlobalIndex.whole(a.shape())),
        "Dropout.dropout: probability is 1.0; wanted 0 or more and less than 1: the share of"
            + " elements that are zeroed");
    refused(
        () -> RotaryTable.of(device, DType.F64, 0, 4, 3, 100),
        "RotaryTable: head size 3; wanted an even one, as pairs are rotated");
    refused(() -> Sum.sum(a, 2), "dim 2 does not exist in shape [2,3] of rank 2");
  }

  @Test
  void targetOutsideTheVocabulary_isRefused() {
    assertThatThrownBy(() -> CrossEntropy.crossEntropySum(leaf(3, 4), longs(1, 4, -1)))
        .isInstanceOf(IndexOutOfBoundsException.class)
        .hasMessage(
            "crossEntropy: target 4 of row 1; wanted less than 4, the classes in all, or a negative"
                + " one to ignore the row");
    assertThatThrownBy(() -> Embedding.embedding(longs(0, 9), leaf(3, 4)))
        .isInstanceOf(IndexOutOfBoundsException.class)
        .hasMessageContaining("9");
  }

  private static void refused(ThrowingCallable call, String message) {
    assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }
}
