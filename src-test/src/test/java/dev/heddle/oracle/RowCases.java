package dev.heddle.oracle;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.types.Shape;
import dev.heddle.ops.CrossEntropy;
import dev.heddle.ops.LayerNorm;
import dev.heddle.ops.Mean;
import dev.heddle.ops.RmsNorm;
import dev.heddle.ops.Softmax;
import dev.heddle.ops.Sum;
import dev.heddle.ops.Transpose;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Softmax, norms, reductions and the loss. */
final class RowCases {
  private static final float EPSILON = 1e-5f;
  private static final long[][] SHAPES = {
    {1, 1}, {1, 7}, {3, 8}, {5, 17}, {2, 3, 33}, {65, 64}, {7, 1000}, {130, 257}
  };

  private final List<OperatorCase> cases = new ArrayList<>();

  static List<OperatorCase> all() {
    RowCases table = new RowCases();
    for (long[] shape : SHAPES) {
      table.rows(shape, Arrays.toString(shape));
    }
    table.softmaxExtremes();
    table.reductions();
    table.loss();
    return table.cases;
  }

  private void rows(long[] shape, String name) {
    long columns = shape[shape.length - 1];
    cases.add(
        new OperatorCase(
            "softmax " + name,
            List.of(Input.normal(0, 2, shape)),
            in -> Softmax.softmax(in.get(0)),
            in -> in.get(0).softmax(-1)));
    // A norm over one or two values amplifies rounding without bound: x - mean is all but 0.
    if (columns < 3) {
      return;
    }
    cases.add(
        new OperatorCase(
            "layer norm " + name,
            List.of(
                Input.normal(0.5, 2, shape), Input.normal(1, 0.3, columns), Input.normal(columns)),
            in -> LayerNorm.layerNorm(in.get(0), in.get(1), in.get(2), EPSILON),
            in ->
                ai.djl.nn.norm.LayerNorm.layerNorm(
                        in.get(0), new Shape(columns), in.get(1), in.get(2), EPSILON)
                    .singletonOrThrow()));
    cases.add(
        new OperatorCase(
            "layer norm without bias " + name,
            List.of(Input.normal(0.5, 2, shape), Input.normal(1, 0.3, columns)),
            in -> LayerNorm.layerNorm(in.get(0), in.get(1), null, EPSILON),
            in ->
                ai.djl.nn.norm.LayerNorm.layerNorm(
                        in.get(0), new Shape(columns), in.get(1), in.get(1).zerosLike(), EPSILON)
                    .singletonOrThrow()));
    cases.add(
        new OperatorCase(
            "rms norm " + name,
            List.of(Input.normal(0.5, 2, shape), Input.normal(1, 0.3, columns)),
            in -> RmsNorm.rmsNorm(in.get(0), in.get(1), EPSILON),
            in -> {
              NDArray x = in.get(0);
              NDArray meanSquare = x.square().mean(new int[] {-1}, true);
              return x.div(meanSquare.add((double) EPSILON).sqrt()).mul(in.get(1));
            }));
  }

  private void softmaxExtremes() {
    cases.add(
        new OperatorCase(
            "softmax of values around 1000 [4,33]",
            List.of(Input.normal(1000, 5, 4, 33)),
            in -> Softmax.softmax(in.get(0)),
            in -> in.get(0).softmax(-1)));
    cases.add(
        new OperatorCase(
            "softmax of values 200 apart [9,40]",
            List.of(Input.normal(0, 200, 9, 40)),
            in -> Softmax.softmax(in.get(0)),
            in -> in.get(0).softmax(-1)));
    cases.add(
        new OperatorCase(
            "softmax of a transpose [40,9]",
            List.of(Input.normal(40, 9)),
            in -> Softmax.softmax(Transpose.transpose(in.get(0), 0, 1)),
            in -> in.get(0).swapAxes(0, 1).softmax(-1)));
    cases.add(
        new OperatorCase(
            "layer norm far from 0 [6,96]",
            List.of(Input.normal(30, 1, 6, 96), Input.normal(1, 0.3, 96), Input.normal(96)),
            in -> LayerNorm.layerNorm(in.get(0), in.get(1), in.get(2), EPSILON),
            in ->
                ai.djl.nn.norm.LayerNorm.layerNorm(
                        in.get(0), new Shape(96), in.get(1), in.get(2), EPSILON)
                    .singletonOrThrow()));
  }

  private void reductions() {
    for (long[] shape : new long[][] {{1}, {13}, {3, 5}, {2, 7, 9}, {130, 257}}) {
      String name = Arrays.toString(shape);
      cases.add(
          new OperatorCase(
                  "sum " + name,
                  List.of(Input.normal(shape)),
                  in -> Sum.sum(in.get(0)),
                  in -> in.get(0).sum())
              .summing(new Shape(shape).size()));
      cases.add(
          new OperatorCase(
              "mean " + name,
              List.of(Input.normal(shape)),
              in -> Mean.mean(in.get(0)),
              in -> in.get(0).mean()));
      for (int dim = 0; dim < shape.length; dim++) {
        int along = dim;
        cases.add(
            new OperatorCase(
                "sum along " + dim + " " + name,
                List.of(Input.normal(shape)),
                in -> Sum.sum(in.get(0), along),
                in -> in.get(0).sum(new int[] {along})));
        cases.add(
            new OperatorCase(
                "mean along " + dim + " " + name,
                List.of(Input.normal(shape)),
                in -> Mean.mean(in.get(0), along),
                in -> in.get(0).mean(new int[] {along})));
      }
    }
  }

  private void loss() {
    for (long[] size : new long[][] {{1, 1}, {1, 5}, {9, 2}, {7, 17}, {33, 64}, {128, 515}}) {
      crossEntropy(" ", size, 2, 0);
      crossEntropy(" with ignored rows ", size, 2, 1);
      crossEntropy(" of large logits ", size, 60, 0);
    }
  }

  private void crossEntropy(String what, long[] size, double deviation, int ignored) {
    cases.add(
        new OperatorCase(
            "cross-entropy sum" + what + Arrays.toString(size),
            List.of(
                Input.normal(0, deviation, size),
                Input.between(-ignored * size[1] / 2, size[1] - 1, size[0])),
            in -> CrossEntropy.crossEntropySum(in.get(0), in.array(1)),
            in -> {
              NDArray targets = in.get(1);
              NDArray valid = targets.gte(0L).toType(ai.djl.ndarray.types.DataType.FLOAT64, false);
              NDArray place = targets.clip(0L, size[1]).expandDims(1);
              return in.get(0).logSoftmax(-1).gather(place, 1).squeeze(1).mul(valid).sum().neg();
            },
            Math.max(1, deviation / 3)));
  }
}
