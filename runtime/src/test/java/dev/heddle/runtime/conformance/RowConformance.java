package dev.heddle.runtime.conformance;

import dev.heddle.runtime.Shape;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Softmax, the norms and the cross-entropy. */
interface RowConformance extends Conformance {
  double MINUS_INFINITY = Double.NEGATIVE_INFINITY;

  @Test
  default void softmax_everySize_matchesBothWays() {
    for (long columns : SIZES) {
      for (Placement placement : List.of(Placement.CONTIGUOUS, Placement.SHIFTED)) {
        KernelCase forward = kernelCase("softmax " + columns + " " + placement);
        forward
            .input(placement, 2, 5, columns)
            .output(placement, 2, 5, columns)
            .check((kernels, a) -> kernels.softmax(a[0], a[1]));
        double[] probabilities = forward.expected((kernels, a) -> kernels.softmax(a[0], a[1]))[1];
        kernelCase("softmaxBackward " + columns + " " + placement)
            .input(placement, Shape.of(2, 5, columns), probabilities)
            .input(placement, 2, 5, columns)
            .output(placement, 2, 5, columns)
            .check((kernels, a) -> kernels.softmaxBackward(a[0], a[1], a[2]));
        kernelCase("softmaxBackward in place " + columns + " " + placement)
            .input(placement, Shape.of(2, 5, columns), probabilities)
            .inOut(placement, 2, 5, columns)
            .check((kernels, a) -> kernels.softmaxBackward(a[0], a[1], a[1]));
      }
    }
  }

  @Test
  default void softmax_inPlaceAndLarge_matches() {
    kernelCase("softmax in place")
        .inOut(Placement.CONTIGUOUS, 700, 203)
        .check((kernels, a) -> kernels.softmax(a[0], a[0]));
    kernelCase("softmax one long row")
        .input(Placement.CONTIGUOUS, 20_011)
        .output(Placement.CONTIGUOUS, 20_011)
        .check((kernels, a) -> kernels.softmax(a[0], a[1]));
  }

  @Test
  default void softmax_hugeAndMinusInfinity_neverOverflows() {
    for (int columns : new int[] {1, 5, 19, 40}) {
      double[] values = new double[5 * columns];
      for (int j = 0; j < columns; j++) {
        values[j] = 3e38; // equal and huge
        values[columns + j] = j == columns / 2 ? 1000 : -1000;
        values[2 * columns + j] = MINUS_INFINITY; // sees nothing
        values[3 * columns + j] = j < columns / 2 ? MINUS_INFINITY : j;
        values[4 * columns + j] = -3e38;
      }
      kernelCase("softmax extremes " + columns)
          .input(Placement.CONTIGUOUS, Shape.of(5, columns), values)
          .output(Placement.CONTIGUOUS, 5, columns)
          .check((kernels, a) -> kernels.softmax(a[0], a[1]));
    }
  }

  @Test
  default void softmax_empty_writesNothing() {
    kernelCase("softmax no rows")
        .input(Placement.CONTIGUOUS, 0, 7)
        .output(Placement.CONTIGUOUS, 0, 7)
        .check((kernels, a) -> kernels.softmax(a[0], a[1]));
  }

  @Test
  default void rows_withNaN_areNaN() {
    KernelCase values = kernelCase("rows with NaN");
    double[] x = values.normal(4 * 37);
    x[37 + 36] = Double.NaN;
    x[2 * 37] = Double.NaN;
    Shape shape = Shape.of(4, 37);
    kernelCase("softmax with NaN")
        .input(Placement.CONTIGUOUS, shape, x)
        .output(Placement.CONTIGUOUS, 4, 37)
        .check((kernels, a) -> kernels.softmax(a[0], a[1]));
    kernelCase("layerNorm with NaN")
        .input(Placement.CONTIGUOUS, shape, x)
        .input(Placement.CONTIGUOUS, 37)
        .output(Placement.CONTIGUOUS, 4, 37)
        .outputStatistic(4)
        .outputStatistic(4)
        .check((kernels, a) -> kernels.layerNorm(a[0], a[1], null, 1e-5, a[2], a[3], a[4]));
    kernelCase("rmsNorm with NaN")
        .input(Placement.CONTIGUOUS, shape, x)
        .input(Placement.CONTIGUOUS, 37)
        .output(Placement.CONTIGUOUS, 4, 37)
        .outputStatistic(4)
        .check((kernels, a) -> kernels.rmsNorm(a[0], a[1], 1e-5, a[2], a[3]));
    kernelCase("crossEntropy with NaN")
        .input(Placement.CONTIGUOUS, shape, x)
        .longs(0, 36, 3, 4)
        .outputStatistic(4)
        .outputStatistic(4)
        .check((kernels, a) -> kernels.crossEntropy(a[0], a[1], 0, 37, a[2], a[3]));
  }

  @Test
  default void rows_noColumns_areEmptySums() {
    kernelCase("softmax no columns")
        .input(Placement.CONTIGUOUS, 3, 0)
        .output(Placement.CONTIGUOUS, 3, 0)
        .check((kernels, a) -> kernels.softmax(a[0], a[1]));
    kernelCase("crossEntropy no columns")
        .input(Placement.CONTIGUOUS, 3, 0)
        .longs(0, 5, -1)
        .outputStatistic(3)
        .outputStatistic(3)
        .check((kernels, a) -> kernels.crossEntropy(a[0], a[1], 7, 7, a[2], a[3]));
  }

  /** Values whose mean is far from zero compared with their spread: cancellation shows. */
  private static double[] offset(double[] values) {
    return Arrays.stream(values).map(v -> 30 + v).toArray();
  }

  @Test
  default void layerNorm_everySize_matchesBothWays() {
    for (long columns : SIZES) {
      for (long rows : new long[] {1, 6, 33}) {
        Shape shape = Shape.of(rows, columns);
        KernelCase forward = kernelCase("layerNorm " + shape);
        double[] values = forward.normal(shape.size());
        double[] x = rows == 6 && columns > 16 ? offset(values) : values;
        KernelCase.Call call =
            (kernels, a) -> kernels.layerNorm(a[0], a[1], a[2], 1e-5, a[3], a[4], a[5]);
        forward
            .tolerance(2)
            .input(Placement.SHIFTED, shape, x)
            .input(Placement.CONTIGUOUS, columns)
            .input(Placement.CONTIGUOUS, columns)
            .output(Placement.CONTIGUOUS, rows, columns)
            .outputStatistic(rows)
            .outputStatistic(rows)
            .check(call);
        double[][] known = forward.expected(call);
        kernelCase("layerNormBackward " + shape)
            .tolerance(2)
            .input(Placement.CONTIGUOUS, shape, x)
            .input(Placement.CONTIGUOUS, Shape.of(columns), known[1])
            .statistic(Shape.of(rows), known[4])
            .statistic(Shape.of(rows), known[5])
            .input(Placement.SHIFTED, rows, columns)
            .output(Placement.CONTIGUOUS, rows, columns)
            .output(Placement.CONTIGUOUS, columns)
            .output(Placement.CONTIGUOUS, columns)
            .check(
                (kernels, a) ->
                    kernels.layerNormBackward(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]));
      }
    }
  }

  @Test
  default void layerNorm_noBiasAndRankThree_matches() {
    kernelCase("layerNorm no bias")
        .input(Placement.CONTIGUOUS, 2, 3, 31)
        .input(Placement.CONTIGUOUS, 31)
        .output(Placement.CONTIGUOUS, 2, 3, 31)
        .outputStatistic(6)
        .outputStatistic(6)
        .check((kernels, a) -> kernels.layerNorm(a[0], a[1], null, 1e-3, a[2], a[3], a[4]));
  }

  @Test
  default void normBackward_onlyWhatIsWanted_isWritten() {
    long rows = 700;
    long columns = 65;
    for (int wanted = 0; wanted < 8; wanted++) {
      boolean x = (wanted & 1) != 0;
      boolean weight = (wanted & 2) != 0;
      boolean bias = (wanted & 4) != 0;
      KernelCase layer = kernelCase("layerNormBackward wanted " + wanted);
      layer
          .tolerance(2)
          .input(Placement.CONTIGUOUS, rows, columns)
          .input(Placement.CONTIGUOUS, columns)
          .statistic(Shape.of(rows), layer.normal(rows))
          .statistic(Shape.of(rows), layer.normal(rows))
          .input(Placement.CONTIGUOUS, rows, columns);
      addWanted(layer, x, rows, columns);
      addWanted(layer, weight, columns);
      addWanted(layer, bias, columns);
      layer.check(
          (kernels, a) ->
              kernels.layerNormBackward(
                  a[0],
                  a[1],
                  a[2],
                  a[3],
                  a[4],
                  x ? a[5] : null,
                  weight ? a[x ? 6 : 5] : null,
                  bias ? a[a.length - 1] : null));
      if (!bias) {
        KernelCase rms = kernelCase("rmsNormBackward wanted " + wanted);
        rms.tolerance(2)
            .input(Placement.CONTIGUOUS, rows, columns)
            .input(Placement.CONTIGUOUS, columns)
            .statistic(Shape.of(rows), rms.normal(rows))
            .input(Placement.CONTIGUOUS, rows, columns);
        addWanted(rms, x, rows, columns);
        addWanted(rms, weight, columns);
        rms.check(
            (kernels, a) ->
                kernels.rmsNormBackward(
                    a[0], a[1], a[2], a[3], x ? a[4] : null, weight ? a[a.length - 1] : null));
      }
    }
  }

  private static void addWanted(KernelCase kernelCase, boolean wanted, long... dims) {
    if (wanted) {
      kernelCase.output(Placement.CONTIGUOUS, dims);
    }
  }

  @Test
  default void rmsNorm_everySize_matchesBothWays() {
    for (long columns : SIZES) {
      for (long rows : new long[] {1, 6, 33}) {
        KernelCase forward = kernelCase("rmsNorm " + rows + " " + columns);
        KernelCase.Call call = (kernels, a) -> kernels.rmsNorm(a[0], a[1], 1e-5, a[2], a[3]);
        forward
            .input(Placement.SHIFTED, rows, columns)
            .input(Placement.CONTIGUOUS, columns)
            .output(Placement.CONTIGUOUS, rows, columns)
            .outputStatistic(rows)
            .check(call);
        double[][] known = forward.expected(call);
        kernelCase("rmsNormBackward " + rows + " " + columns)
            .tolerance(2)
            .input(Placement.CONTIGUOUS, Shape.of(rows, columns), known[0])
            .input(Placement.CONTIGUOUS, Shape.of(columns), known[1])
            .statistic(Shape.of(rows), known[3])
            .input(Placement.SHIFTED, rows, columns)
            .output(Placement.CONTIGUOUS, rows, columns)
            .output(Placement.CONTIGUOUS, columns)
            .check((kernels, a) -> kernels.rmsNormBackward(a[0], a[1], a[2], a[3], a[4], a[5]));
      }
    }
  }

  @Test
  default void norms_noRows_giveZeroWeightGradients() {
    kernelCase("layerNorm no rows")
        .input(Placement.CONTIGUOUS, 0, 9)
        .input(Placement.CONTIGUOUS, 9)
        .output(Placement.CONTIGUOUS, 0, 9)
        .outputStatistic(0)
        .outputStatistic(0)
        .check((kernels, a) -> kernels.layerNorm(a[0], a[1], null, 1e-5, a[2], a[3], a[4]));
    kernelCase("layerNormBackward no rows")
        .input(Placement.CONTIGUOUS, 0, 9)
        .input(Placement.CONTIGUOUS, 9)
        .statistic(Shape.of(0))
        .statistic(Shape.of(0))
        .input(Placement.CONTIGUOUS, 0, 9)
        .output(Placement.CONTIGUOUS, 9)
        .output(Placement.CONTIGUOUS, 9)
        .check(
            (kernels, a) ->
                kernels.layerNormBackward(a[0], a[1], a[2], a[3], a[4], null, a[5], a[6]));
    kernelCase("rmsNormBackward no rows")
        .input(Placement.CONTIGUOUS, 0, 9)
        .input(Placement.CONTIGUOUS, 9)
        .statistic(Shape.of(0))
        .input(Placement.CONTIGUOUS, 0, 9)
        .output(Placement.CONTIGUOUS, 9)
        .check((kernels, a) -> kernels.rmsNormBackward(a[0], a[1], a[2], a[3], null, a[4]));
  }

  @Test
  default void crossEntropy_everySize_matchesBothWays() {
    for (long columns : SIZES) {
      for (long firstColumn : new long[] {0, 11}) {
        long last = firstColumn + columns - 1;
        // In range at both ends, ignored, below and above these columns.
        long[] targets = {firstColumn, last, -1, last + 1, Math.max(0, firstColumn - 1), -100};
        String name = columns + " from " + firstColumn;
        KernelCase forward = kernelCase("crossEntropy " + name);
        KernelCase.Call call =
            (kernels, a) -> kernels.crossEntropy(a[0], a[1], firstColumn, last + 2, a[2], a[3]);
        forward
            .input(Placement.SHIFTED, 6, columns)
            .longs(targets)
            .outputStatistic(6)
            .outputStatistic(6)
            .check(call);
        double[][] known = forward.expected(call);
        // The whole vocabulary's sum is larger than that of these columns.
        double[] logSumExp = Arrays.stream(known[2]).map(v -> v + 0.4).toArray();
        kernelCase("crossEntropyBackward " + name)
            .input(Placement.SHIFTED, Shape.of(6, columns), known[0])
            .longs(targets)
            .statistic(Shape.of(6), logSumExp)
            .statistic(Shape.of(), 0.125)
            .output(Placement.CONTIGUOUS, 6, columns)
            .check(
                (kernels, a) ->
                    kernels.crossEntropyBackward(a[0], a[1], firstColumn, a[2], a[3], a[4]));
        kernelCase("crossEntropyBackward in place " + name)
            .inOut(Placement.SHIFTED, Shape.of(6, columns), known[0])
            .longs(targets)
            .statistic(Shape.of(6), logSumExp)
            .statistic(Shape.of(1), 1)
            .check(
                (kernels, a) ->
                    kernels.crossEntropyBackward(a[0], a[1], firstColumn, a[2], a[3], a[0]));
      }
    }
  }

  @Test
  default void crossEntropy_extremeLogits_neverOverflow() {
    double[] logits = new double[4 * 21];
    Arrays.fill(logits, 0, 21, 3e38);
    Arrays.fill(logits, 21, 42, -3e38);
    Arrays.fill(logits, 42, 63, MINUS_INFINITY);
    logits[42 + 20] = 5;
    Arrays.fill(logits, 63, 84, MINUS_INFINITY);
    kernelCase("crossEntropy extremes")
        .input(Placement.CONTIGUOUS, Shape.of(4, 21), logits)
        .longs(3, 20, 20, -1)
        .outputStatistic(4)
        .outputStatistic(4)
        .check((kernels, a) -> kernels.crossEntropy(a[0], a[1], 0, 21, a[2], a[3]));
    kernelCase("crossEntropyBackward of an ignored row of NaN is zero")
        .input(Placement.CONTIGUOUS, Shape.of(1, 3), Double.NaN, 1, MINUS_INFINITY)
        .longs(-1)
        .statistic(Shape.of(1), Double.NaN)
        .statistic(Shape.of(), 1)
        .output(Placement.CONTIGUOUS, 1, 3)
        .check((kernels, a) -> kernels.crossEntropyBackward(a[0], a[1], 0, a[2], a[3], a[4]));
  }

  @Test
  default void crossEntropy_large_sameBitsForAnyThreadCount() {
    long[] targets = new long[1200];
    for (int i = 0; i < targets.length; i++) {
      targets[i] = i * 31L % 131 - 1;
    }
    kernelCase("crossEntropy large")
        .input(Placement.CONTIGUOUS, 1200, 130)
        .longs(targets)
        .outputStatistic(1200)
        .outputStatistic(1200)
        .check((kernels, a) -> kernels.crossEntropy(a[0], a[1], 0, 130, a[2], a[3]));
  }

  @Test
  default void rows_large_sameBitsForAnyThreadCount() {
    kernelCase("layerNorm large")
        .input(Placement.CONTIGUOUS, 1201, 130)
        .input(Placement.CONTIGUOUS, 130)
        .input(Placement.CONTIGUOUS, 130)
        .output(Placement.CONTIGUOUS, 1201, 130)
        .outputStatistic(1201)
        .outputStatistic(1201)
        .check((kernels, a) -> kernels.layerNorm(a[0], a[1], a[2], 1e-5, a[3], a[4], a[5]));
    kernelCase("rmsNorm large")
        .input(Placement.CONTIGUOUS, 1201, 130)
        .input(Placement.CONTIGUOUS, 130)
        .output(Placement.CONTIGUOUS, 1201, 130)
        .outputStatistic(1201)
        .check((kernels, a) -> kernels.rmsNorm(a[0], a[1], 1e-5, a[2], a[3]));
  }
}
