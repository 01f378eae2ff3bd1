package dev.heddle.ops;

import static dev.heddle.ops.GradientCheck.check;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;

/**
 * Every operator against finite differences; see {@link GradientCheck} for what each check does.
 */
class OperatorGradientsTest extends DeviceTest {

  @Test
  void matmul_anyTransposesAndSizes() {
    for (long[] s : new long[][] {{1, 1, 1}, {2, 3, 4}, {5, 1, 3}, {3, 7, 1}}) {
      check(x -> MatMul.matmul(x[0], x[1]), values(s[0], s[1]), values(s[1], s[2]));
      check(x -> MatMul.matmul(x[0], true, x[1], false), values(s[1], s[0]), values(s[1], s[2]));
      check(x -> MatMul.matmul(x[0], false, x[1], true), values(s[0], s[1]), values(s[2], s[1]));
      check(x -> MatMul.matmul(x[0], true, x[1], true), values(s[1], s[0]), values(s[2], s[1]));
    }
  }

  @Test
  void matmul_batched() {
    for (int a = 0; a < 2; a++) {
      for (int b = 0; b < 2; b++) {
        boolean transposeA = a == 1;
        boolean transposeB = b == 1;
        check(
            x -> MatMul.matmul(x[0], transposeA, x[1], transposeB),
            transposeA ? values(3, 4, 2) : values(3, 2, 4),
            transposeB ? values(3, 5, 4) : values(3, 4, 5));
      }
    }
  }

  @Test
  void matmul_ofATensorWithItself() {
    check(x -> MatMul.matmul(x[0], x[0]), values(3, 3));
    check(x -> MatMul.matmul(x[0], false, x[0], true), values(2, 3));
  }

  @Test
  void linear_withAndWithoutBiasAndActivation() {
    for (UnaryOperation f :
        List.of(UnaryOperation.IDENTITY, UnaryOperation.GELU, UnaryOperation.SILU)) {
      check(x -> Linear.linear(x[0], x[1], null, f), values(2, 3), values(4, 3));
      check(x -> Linear.linear(x[0], x[1], x[2], f), values(2, 2, 3), values(5, 3), values(5));
      check(x -> Linear.linear(x[0], x[1], x[2], f), values(1), values(1, 1), values(1));
      check(x -> Linear.linear(x[0], x[1], x[2], f), values(2, 3), values(3, 2, 3), values(3, 2));
    }
  }

  @Test
  void addSubtractMultiplyDivide_withBroadcasting() {
    long[][][] shapes = {
      {{2, 3}, {2, 3}}, {{2, 3}, {3}}, {{2, 1}, {1, 3}}, {{}, {2}}, {{2, 3, 1}, {3, 5}}, {{1}, {1}}
    };
    for (long[][] s : shapes) {
      check(x -> Add.add(x[0], x[1]), values(s[0]), values(s[1]));
      check(x -> Subtract.subtract(x[0], x[1]), values(s[0]), values(s[1]));
      check(x -> Multiply.multiply(x[0], x[1]), values(s[0]), values(s[1]));
      check(x -> Divide.divide(x[0], x[1]), values(s[0]), between(1, 2, s[1]));
      check(x -> Divide.divide(x[1], x[0]), between(1, 2, s[0]), values(s[1]));
    }
  }

  @Test
  void binary_ofATensorWithItself() {
    check(x -> Add.add(x[0], x[0]), values(2, 3));
    check(x -> Subtract.subtract(x[0], x[0]), values(2, 3));
    check(x -> Multiply.multiply(x[0], x[0]), values(2, 3));
    check(x -> Divide.divide(x[0], x[0]), between(1, 2, 2, 3));
    check(x -> Add.add(x[0], Transpose.transpose(x[0], 0, 1)), values(3, 3));
  }

  @Test
  void scaleAndUnaries() {
    List<Function<Tensor, Tensor>> smooth =
        List.of(
            x -> Scale.scale(x, -2.5),
            Gelu::gelu,
            Silu::silu,
            Tanh::tanh,
            Sigmoid::sigmoid,
            Exp::exp,
            Square::square);
    for (Function<Tensor, Tensor> f : smooth) {
      check(x -> f.apply(x[0]), between(-3, 3, 3, 5));
      check(x -> f.apply(x[0]), values(1));
      check(x -> f.apply(x[0]), values(new long[0]));
    }
    check(x -> Log.log(x[0]), between(0.5, 2, 3, 5));
    check(x -> Sqrt.sqrt(x[0]), between(0.5, 2, 3, 5));
    check(x -> Relu.relu(x[0]), array(Shape.of(2, 2), -1, 2, 0.5, -0.5));
  }

  @Test
  void swiglu() {
    check(x -> SwiGlu.swiglu(x[0]), values(2, 3, 8));
    check(x -> SwiGlu.swiglu(x[0]), values(2));
  }

  @Test
  void softmax() {
    check(x -> Softmax.softmax(x[0]), between(-3, 3, 2, 3, 5));
    check(x -> Softmax.softmax(x[0]), values(4, 1));
    check(x -> Softmax.softmax(x[0]), values(7));
  }

  @Test
  void layerNorm_withAndWithoutBias() {
    check(x -> LayerNorm.layerNorm(x[0], x[1], x[2], 1e-5), values(2, 3, 5), values(5), values(5));
    check(x -> LayerNorm.layerNorm(x[0], x[1], null, 1e-2), values(3, 4), values(4));
    check(x -> LayerNorm.layerNorm(x[0], x[1], x[2], 1e-5), values(6), values(6), values(6));
    check(x -> LayerNorm.layerNorm(x[0], x[1], x[2], 1e-5), values(3, 1), values(1), values(1));
  }

  @Test
  void rmsNorm() {
    check(x -> RmsNorm.rmsNorm(x[0], x[1], 1e-5), values(2, 3, 5), values(5));
    check(x -> RmsNorm.rmsNorm(x[0], x[1], 1e-2), between(0.5, 1, 4, 1), values(1));
    check(x -> RmsNorm.rmsNorm(x[0], x[1], 1e-5), values(6), values(6));
  }

  @Test
  void rotary() {
    for (long[] s : new long[][] {{2, 3, 2, 4}, {1, 1, 1, 2}, {1, 5, 3, 6}}) {
      RotaryTable table = RotaryTable.of(device, values(1).dtype(), 3, s[1], s[3], 100);
      check(x -> Rotary.rotary(x[0], table), values(s));
    }
  }

  @Test
  void attention_fullAndCausalAndGrouped() {
    AttentionMask placed = new AttentionMask(true, 2, 1);
    for (AttentionMask mask : List.of(AttentionMask.FULL, AttentionMask.CAUSAL, placed)) {
      check(
          x -> Attention.attention(x[0], x[1], x[2], mask, 0.7),
          values(2, 3, 2, 4),
          values(2, 5, 2, 4),
          values(2, 5, 2, 4));
      check(
          x -> Attention.attention(x[0], x[1], x[2], mask, 0.7),
          values(1, 3, 4, 1),
          values(1, 3, 2, 1),
          values(1, 3, 2, 1));
    }
  }

  @Test
  void attention_ofOneTensorAsQueryKeyAndValue() {
    check(x -> Attention.attention(x[0], x[0], x[0], AttentionMask.CAUSAL, 1), values(1, 3, 2, 2));
  }

  @Test
  void attentionPacked_withAndWithoutRotary() {
    for (long keyHeads : new long[] {1, 2}) {
      long heads = 2;
      NDArray qkv = values(2, 3, heads + 2 * keyHeads, 4);
      RotaryTable table = RotaryTable.of(device, qkv.dtype(), 0, 3, 4, 100);
      for (AttentionMask mask : List.of(AttentionMask.FULL, AttentionMask.CAUSAL)) {
        check(x -> Attention.packed(x[0], heads, mask, 0.5), qkv);
        // Scaled first, so that what packedRotary overwrites is not the array under test.
        check(x -> Attention.packedRotary(Scale.scale(x[0], 1.5), heads, mask, 0.5, table), qkv);
      }
    }
  }

  @Test
  void embeddingAndGatherRows_withRepeatedAndNegativeRows() {
    NDArray rows = longs(2, 0, -1, 2, 3);
    check(x -> GatherRows.gatherRows(x[0], rows), values(4, 3));
    NDArray ids = longs(1, 1, 0, -1, 2, 1).reshape(2, 3);
    check(x -> Embedding.embedding(ids, x[0]), values(3, 2));
    check(x -> Embedding.embedding(longs(0), x[0]), values(1, 1));
  }

  @Test
  void placeRows() {
    NDArray rows = longs(3, -1, 0);
    check(x -> PlaceRows.placeRows(x[0], rows, x[1]), values(4, 2), values(3, 2));
    check(x -> PlaceRows.placeRows(x[0], longs(0), x[1]), values(1, 1), values(1, 1));
    check(x -> PlaceRows.placeRows(x[0], rows, Slice.slice(x[0], 0, 1, 4)), values(4, 2));
  }

  @Test
  void crossEntropySum_withIgnoredRows() {
    NDArray targets = longs(2, -100, 0, 4);
    check(x -> CrossEntropy.crossEntropySum(x[0], targets), between(-3, 3, 4, 5));
    check(x -> CrossEntropy.crossEntropySum(x[0], longs(0)), values(1, 1));
    check(x -> Scale.scale(CrossEntropy.crossEntropySum(x[0], longs(1, 0)), -0.5), values(2, 3));
  }

  @Test
  void dropout() {
    NDArray x = values(3, 5);
    RandomKey key = RandomKey.of(7, "dropout");
    check(v -> Dropout.dropout(v[0], 0.4, key, GlobalIndex.whole(x.shape())), x);
    check(v -> Dropout.dropout(v[0], 0, key, GlobalIndex.whole(x.shape())), x);
  }

  @Test
  void views() {
    check(x -> Reshape.reshape(x[0], 3, -1), values(2, 3, 4));
    check(x -> Reshape.reshape(x[0], Shape.of()), values(1, 1));
    check(x -> Transpose.transpose(x[0], 0, -1), values(2, 3, 4));
    check(x -> Transpose.permute(x[0], 2, 0, 1), values(2, 3, 4));
    check(x -> Transpose.permute(x[0], -1, 1, -3), values(2, 3, 4));
    check(x -> Slice.slice(x[0], 1, 1, 3), values(2, 4, 3));
    check(x -> Slice.slice(x[0], -1, 0, 1), values(1));
  }

  @Test
  void concat() {
    check(x -> Concat.concat(1, x[0], x[1]), values(2, 3, 2), values(2, 1, 2));
    check(x -> Concat.concat(-1, x[0], x[1], x[0]), values(2, 3), values(2, 1));
    check(x -> Concat.concat(0, x[0]), values(1));
  }

  @Test
  void patchify_bothChannelOrders() {
    check(x -> Patchify.patchify(x[0], 2), values(2, 3, 4, 6));
    check(x -> Patchify.patchifyChannelsLast(x[0], 2), values(1, 2, 4, 3));
    check(x -> Patchify.patchify(x[0], 1), values(1, 1, 1, 1));
  }

  @Test
  void sumAndMean() {
    check(x -> Sum.sum(x[0]), values(2, 3));
    check(x -> Sum.sum(x[0]), values(new long[0]));
    check(x -> Sum.sum(x[0], 1), values(2, 3, 4));
    check(x -> Sum.sum(x[0], -1), values(5));
    check(x -> Mean.mean(x[0]), values(2, 3));
    check(x -> Mean.mean(x[0], 0), values(2, 3));
  }
}
