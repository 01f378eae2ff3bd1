package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.BitSet;
import java.util.Random;
import java.util.function.IntPredicate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * A value that is not a number, in bf16: it shows where it belongs, since loss scaling finds
 * overflow by it, and nowhere else, though pieces of many rows are computed together.
 */
class Bf16NotFiniteTest {
  private static final int HEADS = 2;
  private static final int HEAD_SIZE = 32;
  private static final int BAD_QUERY = 5;

  private static NDArray normal(Device device, Random random, int bad, long... shape) {
    Shape of = Shape.of(shape);
    double[] values = random.doubles(of.size(), -1, 1).toArray();
    if (bad >= 0) {
      values[bad] = Double.NaN;
    }
    return NDArray.of(device, DType.BF16, of, values);
  }

  private static void assertNotNumbers(NDArray array, IntPredicate expected, String what) {
    double[] values = array.toDoubles();
    BitSet found = new BitSet();
    BitSet wanted = new BitSet();
    for (int i = 0; i < values.length; i++) {
      found.set(i, Double.isNaN(values[i]));
      wanted.set(i, expected.test(i));
    }
    assertThat(found).as(what).isEqualTo(wanted);
  }

  /** The last two pairs are large enough for products by the library where it has bf16. */
  @ParameterizedTest
  @CsvSource({"9, false", "9, true", "67, false", "67, true", "300, false", "300, true"})
  void attention_oneQueryNotANumber_spoilsItsRowAndWhatItSaw(int length, boolean causal) {
    Random random = new Random(7);
    AttentionMask mask = causal ? AttentionMask.CAUSAL : AttentionMask.FULL;
    int rowSize = HEADS * HEAD_SIZE;
    // Of head 1, so that head 0 must stay clean.
    int bad = BAD_QUERY * rowSize + HEAD_SIZE + 3;
    long[] shape = {1, length, HEADS, HEAD_SIZE};
    try (CpuDevice device = CpuDevice.open("bf16", 2, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray q = normal(device, random, bad, shape);
      NDArray k = normal(device, random, -1, shape);
      NDArray v = normal(device, random, -1, shape);
      NDArray out = NDArray.full(device, DType.BF16, Shape.of(shape), 3);
      NDArray logSumExp = NDArray.full(device, DType.F32, Shape.of(1, HEADS, length), 3);
      double scale = 1 / Math.sqrt(HEAD_SIZE);
      q.kernels().attention(q, k, v, mask, scale, out, logSumExp);

      IntPredicate ofBadHead = i -> i % rowSize >= HEAD_SIZE;
      assertNotNumbers(
          out, i -> i / rowSize == BAD_QUERY && ofBadHead.test(i), "the row of the result");
      assertNotNumbers(logSumExp, i -> i == length + BAD_QUERY, "its normalizer");

      NDArray dout = normal(device, random, -1, shape);
      NDArray dq = NDArray.full(device, DType.BF16, Shape.of(shape), 3);
      NDArray dk = NDArray.full(device, DType.BF16, Shape.of(shape), 3);
      NDArray dv = NDArray.full(device, DType.BF16, Shape.of(shape), 3);
      q.kernels().attentionBackward(q, k, v, out, logSumExp, dout, mask, scale, dq, dk, dv);
      assertNotNumbers(
          dq, i -> i / rowSize == BAD_QUERY && ofBadHead.test(i), "the query's gradient");
      IntPredicate seen = i -> ofBadHead.test(i) && (!causal || i / rowSize <= BAD_QUERY);
      for (NDArray gradient : new NDArray[] {dk, dv}) {
        double[] values = gradient.toDoubles();
        BitSet spoilt = new BitSet();
        BitSet missed = new BitSet();
        for (int i = 0; i < values.length; i++) {
          // Of later keys a block may compute 0 times the value, which is no number either.
          spoilt.set(i, !ofBadHead.test(i) && !Double.isFinite(values[i]));
          missed.set(i, seen.test(i) && !Double.isNaN(values[i]));
        }
        assertThat(spoilt).as("elements of the clean head").isEqualTo(new BitSet());
        assertThat(missed).as("elements of keys that the query saw").isEqualTo(new BitSet());
      }
    }
  }

  /** More than a piece of rows: 300 of 257. */
  @Test
  void rowsOfNormsAndLosses_oneNotANumber_spoilsItsOwn() {
    int rows = 300;
    int columns = 257;
    int badRow = 256;
    Random random = new Random(11);
    try (CpuDevice device = CpuDevice.open("bf16", 2, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = normal(device, random, badRow * columns + 256, rows, columns);
      NDArray weight = normal(device, random, -1, columns);
      NDArray bias = normal(device, random, -1, columns);
      NDArray y = NDArray.full(device, DType.BF16, Shape.of(rows, columns), 3);
      NDArray mean = NDArray.full(device, DType.F32, Shape.of(rows), 3);
      NDArray rstd = NDArray.full(device, DType.F32, Shape.of(rows), 3);
      IntPredicate ofBadRow = i -> i / columns == badRow;

      x.kernels().layerNorm(x, weight, bias, 1e-5, y, mean, rstd);
      assertNotNumbers(y, ofBadRow, "layer norm");
      NDArray dy = normal(device, random, -1, rows, columns);
      NDArray dx = NDArray.full(device, DType.BF16, Shape.of(rows, columns), 3);
      NDArray dweight = NDArray.full(device, DType.BF16, Shape.of(columns), 3);
      NDArray dbias = NDArray.full(device, DType.BF16, Shape.of(columns), 3);
      x.kernels().layerNormBackward(x, weight, mean, rstd, dy, dx, dweight, dbias);
      assertNotNumbers(dx, ofBadRow, "layer norm's gradient");
      assertNotNumbers(dweight, i -> true, "its weight's, to which every row adds");
      assertNotNumbers(dbias, i -> false, "its bias', which does not see the row");

      x.kernels().rmsNorm(x, weight, 1e-5, y, rstd);
      assertNotNumbers(y, ofBadRow, "rms norm");

      long[] classes = new long[rows];
      for (int i = 0; i < rows; i++) {
        classes[i] = i % columns;
      }
      NDArray targets = NDArray.of(device, Shape.of(rows), classes);
      NDArray logSumExp = NDArray.full(device, DType.F32, Shape.of(rows), 3);
      NDArray targetLogit = NDArray.full(device, DType.F32, Shape.of(rows), 3);
      x.kernels().crossEntropy(x, targets, 0, columns, logSumExp, targetLogit);
      assertNotNumbers(logSumExp, i -> i == badRow, "cross-entropy");
      NDArray dloss = NDArray.full(device, DType.F32, Shape.of(1), 1);
      NDArray dlogits = NDArray.full(device, DType.BF16, Shape.of(rows, columns), 3);
      x.kernels().crossEntropyBackward(x, targets, 0, logSumExp, dloss, dlogits);
      assertNotNumbers(dlogits, ofBadRow, "cross-entropy's gradient");
    }
  }
}
