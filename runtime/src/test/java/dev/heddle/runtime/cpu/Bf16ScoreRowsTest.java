package dev.heddle.runtime.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Arena;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The loops over rows of scores against double precision: what is hidden in a last vector, scores
 * of any size, none at all, and such as are no numbers.
 */
class Bf16ScoreRowsTest {
  /** Half a unit of bf16's last place, and what the loops' exponential is off. */
  private static final double ROUNDING = 0x1.02p-8;

  private static final int ROOM = 320;

  private static int wholeVectors(int count) {
    return count + Lanes.LENGTH - 1 & -Lanes.LENGTH;
  }

  private static double maximum(double[] scores, double scale) {
    double highest = Double.NEGATIVE_INFINITY;
    for (double score : scores) {
      highest = score * scale > highest ? score * scale : highest;
    }
    return highest == Double.NEGATIVE_INFINITY ? 0 : highest;
  }

  private static double[] normal(int count, double size) {
    Random random = new Random(count);
    double[] values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (size * random.nextGaussian());
    }
    return values;
  }

  private static void checkRow(double[] scores, float scale) {
    try (Arena arena = Arena.ofConfined()) {
      long row = arena.allocate(4 * ROOM, 64).address();
      long to = arena.allocate(2 * ROOM, 64).address();
      int count = scores.length;
      int all = wholeVectors(count);
      for (int i = 0; i < all; i++) {
        Lanes.set(row + 4L * i, i < count ? (float) scores[i] : 1e38f);
      }
      int whole = count & -Lanes.LENGTH;
      if (whole < all) {
        Bf16ScoreRows.hide(row + 4L * whole, count - whole);
      }
      float maximum = Bf16ScoreRows.maximum(row, scale, all);
      float sum = Bf16ScoreRows.exponentials(row, scale, maximum, all, to);

      assertThat((double) maximum).isEqualTo((float) maximum(scores, scale));
      double expected = 0;
      for (int i = 0; i < count; i++) {
        double e = Math.exp((double) ((float) scores[i] * scale) - maximum);
        double actual = Bf16Conversion.get(to + 2L * i);
        if (Double.isNaN(e)) {
          assertThat(actual).isNaN();
        } else {
          // What would be subnormal is 0.
          assertThat(actual).isCloseTo(e, within(e * ROUNDING + Float.MIN_NORMAL));
        }
        expected += e;
      }
      for (int i = count; i < all; i++) {
        assertThat(Bf16Conversion.get(to + 2L * i)).isZero();
      }
      if (Double.isNaN(expected)) {
        assertThat(sum).isNaN();
      } else {
        assertThat((double) sum).isCloseTo(expected, within(1e-5 * expected));
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 15, 16, 17, 31, 32, 33, 48, 196, 257})
  void row_ofAnyLength_isTheSoftmaxOfItsVisibleScores(int count) {
    for (double size : new double[] {1, 30, 1e20}) {
      checkRow(normal(count, size), 0.125f);
    }
  }

  @Test
  void row_ofScoresThatAreNoNumbers_showsThem() {
    double minus = Double.NEGATIVE_INFINITY;
    double plus = Double.POSITIVE_INFINITY;
    checkRow(new double[] {minus, minus, minus}, 1);
    checkRow(new double[] {1, minus, 3}, 1);
    checkRow(new double[] {1, plus, minus, 3}, 1);
    checkRow(new double[] {1, Double.NaN, 3}, 1);
    checkRow(new double[] {-200, -100, -300}, 1);
    double[] last = normal(35, 1);
    last[34] = Double.NaN;
    checkRow(last, 0.3f);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 5, 16, 17, 40})
  void clear_aNumberOfValues_leavesTheOthers(int count) {
    try (Arena arena = Arena.ofConfined()) {
      long row = arena.allocate(2 * 64, 64).address();
      for (int i = 0; i < 64; i++) {
        Bf16Conversion.set(row + 2L * i, i % 2 == 0 ? Float.NaN : -i);
      }
      Bf16ScoreRows.clear(row, count);
      for (int i = 0; i < 64; i++) {
        float expected = i < count ? 0 : i % 2 == 0 ? Float.NaN : -i;
        assertThat(Float.compare(Bf16Conversion.get(row + 2L * i), expected)).isZero();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 16, 21})
  void normalizers_ofSums_areLogarithmsAndReciprocals(int count) {
    try (Arena arena = Arena.ofConfined()) {
      long maxima = arena.allocate(4 * 64, 64).address();
      long sums = arena.allocate(4 * 64, 64).address();
      long to = arena.allocate(4 * 64, 64).address();
      float[] values = {0, 1, 196.5f, 1e-3f, Float.POSITIVE_INFINITY, Float.NaN};
      for (int i = 0; i < 64; i++) {
        Lanes.set(maxima + 4L * i, i / 8f - 1);
        Lanes.set(sums + 4L * i, values[i % values.length]);
        Lanes.set(to + 4L * i, -7);
      }
      Bf16ScoreRows.normalizers(maxima, sums, count, to);
      for (int i = 0; i < count; i++) {
        float sum = values[i % values.length];
        double log = Math.log(sum) + i / 8f - 1;
        double actual = Lanes.get(to + 4L * i);
        if (Double.isFinite(log)) {
          assertThat(actual).isCloseTo(log, within(1e-6));
        } else {
          assertThat(Double.compare(actual, log)).isZero();
        }
        float factor = sum == 0 ? 0 : 1 / sum;
        assertThat(Float.compare(Lanes.get(sums + 4L * i), factor)).isZero();
      }
      for (int i = count; i < 64; i++) {
        assertThat(Lanes.get(to + 4L * i)).isEqualTo(-7);
      }
    }
  }

  /** Scales that turn -infinity around, or into NaN, must not show what is hidden. */
  @ParameterizedTest
  @CsvSource({"37, -0.2", "37, 0", "64, 0.2", "70, -0.2"})
  void attention_anyScale_isTheF32Kernels(int length, double scale) {
    Random random = new Random(3);
    Shape shape = Shape.of(1, length, 2, 32);
    try (CpuDevice device = CpuDevice.open("bf16", 1, CpuBackend.BEST);
        MemoryScope scope = MemoryScope.open()) {
      NDArray[] narrow = new NDArray[3];
      NDArray[] wide = new NDArray[3];
      for (int i = 0; i < 3; i++) {
        double[] values = random.doubles(shape.size(), -1, 1).toArray();
        narrow[i] = NDArray.of(device, DType.BF16, shape, values);
        wide[i] = narrow[i].cast(DType.F32);
      }
      NDArray out = NDArray.full(device, DType.BF16, shape, 3);
      NDArray wideOut = NDArray.full(device, DType.F32, shape, 3);
      NDArray logSums = NDArray.full(device, DType.F32, Shape.of(1, 2, length), 3);
      NDArray wideLogSums = NDArray.full(device, DType.F32, Shape.of(1, 2, length), 3);
      AttentionMask mask = AttentionMask.CAUSAL;
      out.kernels().attention(narrow[0], narrow[1], narrow[2], mask, scale, out, logSums);
      wideOut.kernels().attention(wide[0], wide[1], wide[2], mask, scale, wideOut, wideLogSums);
      assertThat(out.toDoubles()).containsExactly(wideOut.toDoubles(), within(0.02));
      assertThat(logSums.toDoubles()).containsExactly(wideLogSums.toDoubles(), within(1e-4));
    }
  }
}
