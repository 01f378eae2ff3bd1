package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.DType.F64;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Random;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The reference kernels against values and formulas from elsewhere. */
class ReferenceValuesTest {
  private static final Offset<Double> ROUNDING = within(1e-14);

  private CpuDevice device;
  private MemoryScope scope;
  private Kernels kernels;

  @BeforeEach
  void open() {
    device = CpuDevice.open("reference", 1, CpuBackend.REFERENCE);
    scope = MemoryScope.open();
    kernels = device.kernels(F64);
  }

  @AfterEach
  void close() {
    scope.close();
    device.close();
  }

  private NDArray of(Shape shape, double... values) {
    return NDArray.of(device, F64, shape, values);
  }

  private NDArray vector(double... values) {
    return of(Shape.of(values.length), values);
  }

  private NDArray empty(long... dims) {
    return NDArray.empty(device, F64, dims);
  }

  private NDArray normal(String stream, long... dims) {
    NDArray x = empty(dims);
    kernels.randomNormal(RandomKey.of(1, stream), GlobalIndex.whole(x.shape()), 0, 1, x);
    return x;
  }

  private static void assertClose(NDArray got, double... wanted) {
    assertClose(got.toDoubles(), wanted);
  }

  private static void assertClose(double[] got, double[] wanted) {
    assertThat(got).hasSize(wanted.length);
    for (int i = 0; i < wanted.length; i++) {
      assertThat(got[i]).as("element %d", i).isCloseTo(wanted[i], ROUNDING);
    }
  }

  private double unary(UnaryOperation op, double x) {
    NDArray y = empty(1);
    kernels.unary(op, vector(x), y);
    return y.item();
  }

  @Test
  void unary_knownPoints_haveKnownValues() {
    assertThat(unary(UnaryOperation.GELU, 1)).isCloseTo(0.8413447460685429, ROUNDING);
    assertThat(unary(UnaryOperation.GELU, -2)).isCloseTo(-0.04550026389635842, ROUNDING);
    assertThat(unary(UnaryOperation.GELU, -10)).isCloseTo(-7.619853024160526e-23, within(1e-36));
    assertThat(unary(UnaryOperation.SILU, 1)).isCloseTo(0.7310585786300049, ROUNDING);
    assertThat(unary(UnaryOperation.SIGMOID, 0)).isEqualTo(0.5);
    assertThat(unary(UnaryOperation.TANH, 0.5)).isCloseTo(0.46211715726000973, ROUNDING);
    assertThat(unary(UnaryOperation.EXP, 1)).isCloseTo(Math.E, ROUNDING);
    assertThat(unary(UnaryOperation.LOG, 10)).isCloseTo(2.302585092994046, ROUNDING);
    assertThat(unary(UnaryOperation.SQRT, 2)).isEqualTo(Math.sqrt(2));
    assertThat(unary(UnaryOperation.RECIPROCAL, 8)).isEqualTo(0.125);
    assertThat(unary(UnaryOperation.SQUARE, -3)).isEqualTo(9);
    assertThat(unary(UnaryOperation.NEGATE, -3)).isEqualTo(3);
    assertThat(unary(UnaryOperation.RELU, -3)).isZero();
    assertThat(unary(UnaryOperation.RELU, 3)).isEqualTo(3);
    assertThat(unary(UnaryOperation.IDENTITY, 3)).isEqualTo(3);
  }

  @Test
  void binary_rowAndColumn_makeATable() {
    NDArray a = of(Shape.of(2, 1), 10, 20);
    NDArray b = vector(1, 2, 4);
    NDArray y = empty(2, 3);
    kernels.binary(BinaryOperation.ADD, a, b, y);
    assertClose(y, 11, 12, 14, 21, 22, 24);
    kernels.binary(BinaryOperation.SUBTRACT, a, b, y);
    assertClose(y, 9, 8, 6, 19, 18, 16);
    kernels.binary(BinaryOperation.MULTIPLY, a, b, y);
    assertClose(y, 10, 20, 40, 20, 40, 80);
    kernels.binary(BinaryOperation.DIVIDE, a, b, y);
    assertClose(y, 10, 5, 2.5, 20, 10, 5);
    kernels.binary(BinaryOperation.MAXIMUM, vector(3, 0, 5), b, b.copy());
    kernels.binary(BinaryOperation.MAXIMUM, of(Shape.of(2, 1), 3, 0), b, y);
    assertClose(y, 3, 3, 4, 1, 2, 4);
  }

  @Test
  void gemm_smallMatrices_haveKnownProducts() {
    NDArray a = of(Shape.of(2, 3), 1, 2, 3, 4, 5, 6);
    NDArray b = of(Shape.of(3, 2), 7, 8, 9, 10, 11, 12);
    NDArray c = NDArray.full(device, F64, Shape.of(2, 2), Double.NaN);
    kernels.gemm(a, false, b, false, 1, 0, c);
    assertClose(c, 58, 64, 139, 154);
    kernels.gemm(a, false, b, false, 2, -1, c);
    assertClose(c, 58, 64, 139, 154);
    NDArray square = empty(3, 3);
    kernels.gemm(a, true, b, true, 1, 0, square);
    assertClose(square, 39, 49, 59, 54, 68, 82, 69, 87, 105);
  }

  @Test
  void batchedGemm_eachIndex_isAGemm() {
    NDArray a = normal("a", 3, 4, 5);
    NDArray b = normal("b", 3, 6, 5);
    NDArray c = empty(3, 4, 6);
    kernels.batchedGemm(a, false, b, true, 1.5, 0, c);
    NDArray one = empty(4, 6);
    for (int i = 0; i < 3; i++) {
      kernels.gemm(
          a.slice(0, i, i + 1).reshape(4, 5),
          false,
          b.slice(0, i, i + 1).reshape(6, 5),
          true,
          1.5,
          0,
          one);
      assertThat(c.slice(0, i, i + 1).toDoubles()).containsExactly(one.toDoubles());
    }
  }

  @Test
  void linear_biasAndActivation_keepsThePreActivation() {
    NDArray x = of(Shape.of(2, 2), 1, 2, -3, 4);
    NDArray w = of(Shape.of(3, 2), 1, 0, 0, 1, -1, 1);
    NDArray y = empty(2, 3);
    NDArray before = empty(2, 3);
    kernels.linear(x, w, vector(1, -10, 0), UnaryOperation.RELU, y, before);
    assertClose(before, 2, -8, 1, -2, -6, 7);
    assertClose(y, 2, 0, 1, 0, 0, 7);
    kernels.linear(x, w, null, UnaryOperation.IDENTITY, y, null);
    assertClose(y, 1, 2, 1, -3, 4, 7);
  }

  @Test
  void softmax_oneTwoThree_hasKnownValues() {
    NDArray y = empty(2, 3);
    double inf = Double.NEGATIVE_INFINITY;
    kernels.softmax(of(Shape.of(2, 3), 1, 2, 3, inf, inf, inf), y);
    assertClose(y, 0.09003057317038046, 0.24472847105479764, 0.6652409557748218, 0, 0, 0);
  }

  @Test
  void norms_oneToFour_haveKnownStatistics() {
    NDArray x = of(Shape.of(1, 4), 1, 2, 3, 4);
    NDArray y = empty(1, 4);
    NDArray mean = empty(1);
    NDArray rstd = empty(1);
    kernels.layerNorm(x, vector(1, 1, 2, 1), vector(0, 0, 0, 5), 0, y, mean, rstd);
    double unit = 1 / Math.sqrt(1.25);
    assertThat(mean.item()).isEqualTo(2.5);
    assertThat(rstd.item()).isCloseTo(unit, ROUNDING);
    assertClose(y, -1.5 * unit, -0.5 * unit, unit, 5 + 1.5 * unit);
    kernels.rmsNorm(x, vector(1, 1, 1, 2), 0.5, y, rstd);
    double root = 1 / Math.sqrt(8);
    assertThat(rstd.item()).isCloseTo(root, ROUNDING);
    assertClose(y, root, 2 * root, 3 * root, 8 * root);
  }

  @Test
  void rotary_quarterTurn_swapsAndNegates() {
    NDArray x = of(Shape.of(1, 1, 1, 4), 1, 2, 3, 4);
    NDArray y = empty(1, 1, 1, 4);
    kernels.rotary(x, of(Shape.of(1, 2), 0, 1), of(Shape.of(1, 2), 1, 0), false, y);
    // Pair (1,3) turned by 90 degrees, pair (2,4) not at all.
    assertClose(y, -3, 2, 1, 4);
    kernels.rotary(y, of(Shape.of(1, 2), 0, 1), of(Shape.of(1, 2), 1, 0), true, y);
    assertClose(y, 1, 2, 3, 4);
  }

  /** The whole score matrix, its softmax, and its product with the values. */
  private static double[] naiveAttention(
      NDArray q, NDArray k, NDArray v, AttentionMask mask, double scale) {
    int batch = (int) q.dim(0);
    int queries = (int) q.dim(1);
    int heads = (int) q.dim(2);
    int size = (int) q.dim(3);
    int keys = (int) k.dim(1);
    int group = heads / (int) k.dim(2);
    double[] out = new double[batch * queries * heads * size];
    for (int b = 0; b < batch; b++) {
      for (int h = 0; h < heads; h++) {
        double[][] query = matrix(q, b, h);
        double[][] key = matrix(k, b, h / group);
        double[][] value = matrix(v, b, h / group);
        for (int i = 0; i < queries; i++) {
          double[] weights = new double[keys];
          double sum = 0;
          for (int j = 0; j < keys; j++) {
            boolean seen = !mask.causal() || mask.keyStart() + j <= mask.queryStart() + i;
            double score = 0;
            for (int d = 0; d < size; d++) {
              score += query[i][d] * key[j][d];
            }
            weights[j] = seen ? Math.exp(scale * score) : 0;
            sum += weights[j];
          }
          for (int j = 0; j < keys; j++) {
            for (int d = 0; d < size && sum > 0; d++) {
              out[((b * queries + i) * heads + h) * size + d] += weights[j] / sum * value[j][d];
            }
          }
        }
      }
    }
    return out;
  }

  private static double[][] matrix(NDArray x, int batch, int head) {
    NDArray view = x.slice(0, batch, batch + 1).slice(2, head, head + 1);
    double[] values = view.toDoubles();
    int size = (int) x.dim(3);
    double[][] rows = new double[(int) x.dim(1)][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = Arrays.copyOfRange(values, i * size, (i + 1) * size);
    }
    return rows;
  }

  @Test
  void attention_allMasks_equalsTheWholeScoreMatrix() {
    NDArray q = normal("q", 2, 7, 4, 5);
    NDArray k = normal("k", 2, 9, 2, 5);
    NDArray v = normal("v", 2, 9, 2, 5);
    NDArray out = empty(2, 7, 4, 5);
    NDArray logSumExp = empty(2, 4, 7);
    for (AttentionMask mask :
        List.of(
            AttentionMask.FULL,
            AttentionMask.CAUSAL,
            new AttentionMask(true, 2, 0),
            new AttentionMask(true, 0, 3),
            new AttentionMask(true, 0, 50))) {
      kernels.attention(q, k, v, mask, 0.4, out, logSumExp);
      assertClose(out.toDoubles(), naiveAttention(q, k, v, mask, 0.4));
    }
    // The last mask shows no key to any query.
    assertThat(logSumExp.toDoubles()).containsOnly(Double.NEGATIVE_INFINITY);
  }

  /** What ring attention relies on. */
  @Test
  void attention_partsMergedByLogSumExp_giveTheWhole() {
    NDArray q = normal("q", 1, 6, 2, 4);
    NDArray k = normal("k", 1, 6, 2, 4);
    NDArray v = normal("v", 1, 6, 2, 4);
    NDArray whole = empty(1, 6, 2, 4);
    NDArray wholeSum = empty(1, 2, 6);
    kernels.attention(q, k, v, AttentionMask.CAUSAL, 0.5, whole, wholeSum);
    double[] merged = new double[48];
    double[] total = wholeSum.toDoubles();
    for (int part = 0; part < 3; part++) {
      NDArray out = empty(1, 6, 2, 4);
      NDArray sum = empty(1, 2, 6);
      NDArray keys = k.slice(1, 2 * part, 2 * part + 2);
      NDArray values = v.slice(1, 2 * part, 2 * part + 2);
      kernels.attention(q, keys, values, new AttentionMask(true, 0, 2 * part), 0.5, out, sum);
      double[] outs = out.toDoubles();
      double[] sums = sum.toDoubles();
      for (int i = 0; i < 48; i++) {
        int query = i / 8;
        int head = i / 4 % 2;
        merged[i] += outs[i] * Math.exp(sums[head * 6 + query] - total[head * 6 + query]);
      }
    }
    assertClose(whole.toDoubles(), merged);
  }

  @Test
  void crossEntropy_equalLogits_isTheLogOfTheirNumber() {
    NDArray logSumExp = empty(2);
    NDArray targetLogit = empty(2);
    NDArray targets = NDArray.of(device, Shape.of(2), 3L, -1);
    kernels.crossEntropy(
        NDArray.full(device, F64, Shape.of(2, 7), 2.5), targets, 0, 7, logSumExp, targetLogit);
    assertClose(logSumExp, 2.5 + Math.log(7), 2.5 + Math.log(7));
    assertClose(targetLogit, 2.5, 0);
  }

  /** What the vocabulary-parallel loss relies on. */
  @Test
  void crossEntropy_partsOfTheVocabulary_mergeToTheWhole() {
    NDArray logits = normal("logits", 5, 11);
    NDArray targets = NDArray.of(device, Shape.of(5), 0L, 10, 4, 5, -1);
    NDArray whole = empty(5);
    NDArray wholeTarget = empty(5);
    kernels.crossEntropy(logits, targets, 0, 11, whole, wholeTarget);
    NDArray gradient = empty(5, 11);
    NDArray dloss = NDArray.full(device, F64, Shape.of(), 0.2);
    kernels.crossEntropyBackward(logits, targets, 0, whole, dloss, gradient);
    double[] sums = new double[5];
    double[] picked = new double[5];
    for (int[] part : new int[][] {{0, 4}, {4, 11}}) {
      NDArray columns = logits.slice(1, part[0], part[1]).contiguous();
      NDArray sum = empty(5);
      NDArray target = empty(5);
      kernels.crossEntropy(columns, targets, part[0], 11, sum, target);
      double[] sumValues = sum.toDoubles();
      double[] targetValues = target.toDoubles();
      for (int i = 0; i < 5; i++) {
        sums[i] += Math.exp(sumValues[i]);
        picked[i] += targetValues[i];
      }
      NDArray partGradient = empty(5, part[1] - part[0]);
      kernels.crossEntropyBackward(columns, targets, part[0], whole, dloss, partGradient);
      assertThat(partGradient.toDoubles())
          .containsExactly(gradient.slice(1, part[0], part[1]).toDoubles());
    }
    assertClose(whole, Arrays.stream(sums).map(Math::log).toArray());
    assertClose(wholeTarget, picked);
  }

  /** With a constant gradient both corrected moments are exact at every step. */
  @Test
  void adamW_constantGradient_hasAClosedForm() {
    double[] gradients = {0.5, -2, 0};
    NDArray weight = vector(1, -1, 3);
    NDArray gradient = vector(gradients);
    NDArray first = NDArray.zeros(device, F64, 3);
    NDArray second = NDArray.zeros(device, F64, 3);
    double[] expected = {1, -1, 3};
    for (int t = 1; t <= 20; t++) {
      AdamWStep step = new AdamWStep(0.01, 0.9, 0.99, 1e-8, 0.1, t, 4);
      kernels.adamW(step, weight, gradient, first, second, null);
      for (int i = 0; i < 3; i++) {
        double g = 4 * gradients[i];
        expected[i] -= 0.01 * (0.1 * expected[i] + g / (Math.abs(g) + 1e-8));
      }
      double[] got = weight.toDoubles();
      for (int i = 0; i < 3; i++) {
        assertThat(got[i]).as("step %d", t).isCloseTo(expected[i], within(1e-12));
      }
    }
  }

  @Test
  void random_elements_areThoseOfTheStream() {
    RandomKey key = RandomKey.of(11, "values");
    NDArray y = empty(3, 2);
    GlobalIndex index = new GlobalIndex(5, 7, 1);
    kernels.randomUniform(key, index, 0, 1, y);
    double[] uniform = new double[6];
    double[] normal = new double[6];
    for (int i = 0; i < 6; i++) {
      long element = 5 + 7L * (i / 2) + i % 2;
      uniform[i] = Random.uniform(key, element);
      normal[i] = 1 + 2 * Random.normal(key, element);
    }
    assertThat(y.toDoubles()).containsExactly(uniform);
    kernels.randomNormal(key, index, 1, 2, y);
    assertThat(y.toDoubles()).containsExactly(normal);
    NDArray kept = empty(3, 2);
    kernels.dropout(key, index, 0.5, NDArray.full(device, F64, Shape.of(3, 2), 1), kept);
    assertThat(kept.toDoubles())
        .containsExactly(Arrays.stream(uniform).map(u -> u >= 0.5 ? 2 : 0).toArray());
  }

  @Test
  void copy_betweenTypes_roundsOrTruncates() {
    NDArray x = vector(1.5, -2.75, 300, 0.1);
    assertThat(x.cast(DType.I32).toLongs()).containsExactly(1, -2, 300, 0);
    assertThat(x.cast(DType.U8).toLongs()).containsExactly(1, 254, 44, 0);
    assertThat(x.cast(DType.F32).toDoubles()).containsExactly(1.5, -2.75, 300, 0.1f);
    assertThat(x.cast(DType.BF16).toDoubles()).containsExactly(1.5, -2.75, 300, 0.10009765625);
    NDArray longs = NDArray.of(device, Shape.of(2), Long.MAX_VALUE, -3);
    assertThat(longs.transpose(0, 0).copy().toLongs()).containsExactly(Long.MAX_VALUE, -3);
    assertThat(longs.cast(F64).toDoubles()).containsExactly(0x1p63, -3);
  }

  @Test
  void rows_gatheredAndScattered_goWhereTheyShould() {
    NDArray x = of(Shape.of(3, 2), 1, 2, 3, 4, 5, 6);
    NDArray rows = NDArray.of(device, Shape.of(4), 2, -1, 0, 2);
    NDArray y = empty(4, 2);
    kernels.gatherRows(x, rows, y);
    assertClose(y, 5, 6, 0, 0, 1, 2, 5, 6);
    NDArray sum = NDArray.full(device, F64, Shape.of(3, 2), 100);
    kernels.scatterAddRows(y, rows, sum);
    assertClose(sum, 101, 102, 100, 100, 110, 112);
    NDArray longs = NDArray.of(device, Shape.of(2, 1), Long.MAX_VALUE, 5L);
    NDArray picked = NDArray.empty(device, DType.I64, 1, 1);
    kernels.gatherRows(longs, NDArray.of(device, Shape.of(1), 0), picked);
    assertThat(picked.toLongs()).containsExactly(Long.MAX_VALUE);
  }

  @Test
  void reductions_smallArrays_haveKnownValues() {
    NDArray x = of(Shape.of(2, 3), 1, 5, 5, -7, -2, -3);
    NDArray columns = empty(3);
    kernels.sumTo(x, columns);
    assertClose(columns, -6, 3, 2);
    NDArray rows = empty(2, 1);
    kernels.sumTo(x, rows);
    assertClose(rows, 11, -12);
    NDArray all = empty();
    kernels.sumTo(x, all);
    assertClose(all, -1);
    NDArray best = NDArray.empty(device, DType.I64, 2);
    kernels.argmaxRows(x, best);
    assertThat(best.toLongs()).containsExactly(1, 1);
    assertThat(kernels.sumOfSquares(List.of(x, columns))).isEqualTo(113 + 49);
    NDArray y = vector(1, 2, 3);
    kernels.scale(y, 2, y);
    kernels.addScaled(vector(1, 1, 1), -0.5, y);
    assertClose(y, 1.5, 3.5, 5.5);
    NDArray product = empty(1, 2);
    kernels.swiglu(of(Shape.of(1, 2), 0, 1), of(Shape.of(1, 2), 9, 2), product);
    assertClose(product, 0, 2 * 0.7310585786300049);
  }
}
