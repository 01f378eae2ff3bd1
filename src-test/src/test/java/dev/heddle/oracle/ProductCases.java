package dev.heddle.oracle;

import ai.djl.ndarray.NDArray;
import ai.djl.nn.Activation;
import dev.heddle.ops.Linear;
import dev.heddle.ops.MatMul;
import dev.heddle.ops.Transpose;
import dev.heddle.runtime.UnaryOperation;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;

/** Matrix products and linear layers. */
final class ProductCases {
  /** M, N, K: single rows and columns, odd, tile edges, more than one block of a packed product. */
  private static final long[][] PRODUCTS = {
    {1, 1, 1},
    {1, 9, 5},
    {7, 1, 3},
    {5, 7, 1},
    {6, 16, 8},
    {13, 17, 31},
    {33, 47, 65},
    {64, 64, 64},
    {129, 97, 263},
    {200, 310, 517}
  };

  private final List<OperatorCase> cases = new ArrayList<>();

  static List<OperatorCase> all() {
    ProductCases table = new ProductCases();
    table.matmul();
    table.linear();
    return table.cases;
  }

  private void matmul() {
    for (long[] size : PRODUCTS) {
      for (int form = 0; form < 4; form++) {
        matmul(size, (form & 1) != 0, (form & 2) != 0, new long[0]);
      }
    }
    for (long[] size : new long[][] {{1, 1, 1}, {3, 5, 7}, {17, 33, 9}, {64, 48, 32}}) {
      for (int form = 0; form < 4; form++) {
        matmul(size, (form & 1) != 0, (form & 2) != 0, new long[] {3});
      }
    }
    cases.add(
        new OperatorCase(
            "matmul of strided views [9,14] [9,11]",
            List.of(Input.normal(9, 14), Input.normal(9, 11)),
            in -> MatMul.matmul(Transpose.transpose(in.get(0), 0, 1), in.get(1)),
            in -> in.get(0).swapAxes(0, 1).matMul(in.get(1))));
  }

  private void matmul(long[] size, boolean transposeA, boolean transposeB, long[] batch) {
    long[] a = transposeA ? dims(batch, size[2], size[0]) : dims(batch, size[0], size[2]);
    long[] b = transposeB ? dims(batch, size[1], size[2]) : dims(batch, size[2], size[1]);
    cases.add(
        new OperatorCase(
            "matmul "
                + Arrays.toString(a)
                + (transposeA ? "ᵀ " : " ")
                + Arrays.toString(b)
                + (transposeB ? "ᵀ" : ""),
            List.of(Input.normal(a), Input.normal(b)),
            in -> MatMul.matmul(in.get(0), transposeA, in.get(1), transposeB),
            in -> {
              NDArray left = transposeA ? in.get(0).swapAxes(-1, -2) : in.get(0);
              NDArray right = transposeB ? in.get(1).swapAxes(-1, -2) : in.get(1);
              return left.matMul(right);
            }));
  }

  private static long[] dims(long[] batch, long rows, long columns) {
    long[] dims = Arrays.copyOf(batch, batch.length + 2);
    dims[batch.length] = rows;
    dims[batch.length + 1] = columns;
    return dims;
  }

  private void linear() {
    for (long[] size : PRODUCTS) {
      linear("", size, UnaryOperation.IDENTITY, y -> y, true);
    }
    for (long[] size : new long[][] {{1, 1, 1}, {5, 9, 3}, {33, 40, 17}, {70, 130, 64}}) {
      linear(" without bias", size, UnaryOperation.IDENTITY, y -> y, false);
      linear(" + gelu", size, UnaryOperation.GELU, Activation::gelu, true);
      linear(" + gelu, no bias", size, UnaryOperation.GELU, Activation::gelu, false);
      linear(" + silu", size, UnaryOperation.SILU, y -> y.mul(Activation.sigmoid(y)), true);
      linear(" + relu", size, UnaryOperation.RELU, Activation::relu, true);
      linear(" + tanh", size, UnaryOperation.TANH, NDArray::tanh, true);
    }
    cases.add(
        new OperatorCase(
            "linear of [2,3,7], packed weight [3,5,7]",
            List.of(Input.normal(2, 3, 7), Input.normal(3, 5, 7), Input.normal(3, 5)),
            in -> Linear.linear(in.get(0), in.get(1), in.get(2)),
            in ->
                ai.djl.nn.core.Linear.linear(
                        in.get(0), in.get(1).reshape(15, 7), in.get(2).reshape(15))
                    .singletonOrThrow()));
  }

  private void linear(
      String what,
      long[] size,
      UnaryOperation activation,
      UnaryOperator<NDArray> theirs,
      boolean bias) {
    List<Input> inputs = new ArrayList<>();
    inputs.add(Input.normal(size[0], size[2]));
    inputs.add(Input.normal(0, 0.2, size[1], size[2]));
    if (bias) {
      inputs.add(Input.normal(size[1]));
    }
    cases.add(
        new OperatorCase(
            "linear" + what + " [" + size[0] + "," + size[2] + "] to " + size[1],
            inputs,
            in -> Linear.linear(in.get(0), in.get(1), bias ? in.get(2) : null, activation),
            in -> {
              NDArray product = in.get(0).matMul(in.get(1).swapAxes(0, 1));
              return theirs.apply(bias ? product.add(in.get(2)) : product);
            }));
  }
}
