package dev.heddle.oracle;

import ai.djl.ndarray.NDArray;
import ai.djl.nn.Activation;
import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Add;
import dev.heddle.ops.Divide;
import dev.heddle.ops.Exp;
import dev.heddle.ops.Gelu;
import dev.heddle.ops.Log;
import dev.heddle.ops.Multiply;
import dev.heddle.ops.Relu;
import dev.heddle.ops.Scale;
import dev.heddle.ops.Sigmoid;
import dev.heddle.ops.Silu;
import dev.heddle.ops.Sqrt;
import dev.heddle.ops.Square;
import dev.heddle.ops.Subtract;
import dev.heddle.ops.SwiGlu;
import dev.heddle.ops.Tanh;
import dev.heddle.ops.Transpose;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BinaryOperator;
import java.util.function.UnaryOperator;

/** Functions of each element, and of pairs of elements with broadcasting. */
final class ElementwiseCases {
  /** One element, less than a vector, odd, a multiple of a vector, several chunks of work. */
  private static final long[][] SHAPES = {{}, {1}, {3}, {3, 5}, {2, 1, 17}, {4, 64}, {37, 1031}};

  /** Pairs that broadcast in every way: a scalar, rows, columns, both, more dims on either side. */
  private static final long[][][] PAIRS = {
    {{1}, {1}},
    {{7, 9}, {7, 9}},
    {{5, 8}, {8}},
    {{17}, {6, 17}},
    {{5, 7}, {5, 1}},
    {{5, 1}, {1, 9}},
    {{2, 3, 33}, {3, 33}},
    {{2, 3, 4}, {2, 1, 4}},
    {{3, 4}, {}},
    {{129, 65}, {129, 65}},
  };

  private final List<OperatorCase> cases = new ArrayList<>();

  static List<OperatorCase> all() {
    ElementwiseCases table = new ElementwiseCases();
    table.unary();
    table.binary();
    return table.cases;
  }

  private void unary() {
    unary("scale by -1.5", -3, 3, x -> Scale.scale(x, -1.5), x -> LibTorch.times(x, -1.5));
    unary("exp", -5, 5, Exp::exp, NDArray::exp);
    unary("exp far below 0", -200, -20, Exp::exp, NDArray::exp);
    unary("log", 0.01, 9, Log::log, NDArray::log);
    unary("sqrt", 0.01, 9, Sqrt::sqrt, NDArray::sqrt);
    unary("square", -3, 3, Square::square, NDArray::square);
    unary("tanh", -2, 2, Tanh::tanh, NDArray::tanh);
    unary("tanh saturated", -12, 12, Tanh::tanh, NDArray::tanh, 30);
    unary("tanh near 0", -1e-3, 1e-3, Tanh::tanh, NDArray::tanh);
    unary("sigmoid", -6, 6, Sigmoid::sigmoid, Activation::sigmoid);
    unary("sigmoid saturated", -90, 90, Sigmoid::sigmoid, Activation::sigmoid, 30);
    unary("relu", -3, 3, Relu::relu, Activation::relu);
    unary("gelu", -4, 4, Gelu::gelu, Activation::gelu);
    unary("gelu saturated", -30, 30, Gelu::gelu, Activation::gelu);
    unary("silu", -6, 6, Silu::silu, x -> x.mul(Activation.sigmoid(x)));
    unary(
        "gelu of a transpose",
        -4,
        4,
        x -> x.rank() < 2 ? Gelu.gelu(x) : Gelu.gelu(Transpose.transpose(x, -1, -2)),
        x -> Activation.gelu(x.getShape().dimension() < 2 ? x : x.swapAxes(-1, -2)));
    for (long[] shape : new long[][] {{2}, {1, 6}, {3, 34}, {2, 3, 128}, {65, 258}}) {
      cases.add(
          new OperatorCase(
              "swiglu " + Arrays.toString(shape),
              List.of(Input.normal(shape)),
              in -> SwiGlu.swiglu(in.get(0)),
              in -> {
                long half = shape[shape.length - 1] / 2;
                var parts = in.get(0).split(new long[] {half}, shape.length - 1);
                NDArray gate = parts.get(0);
                return gate.mul(Activation.sigmoid(gate)).mul(parts.get(1));
              }));
    }
  }

  private void unary(
      String name,
      double low,
      double high,
      UnaryOperator<Tensor> ours,
      UnaryOperator<NDArray> theirs) {
    unary(name, low, high, ours, theirs, 1);
  }

  private void unary(
      String name,
      double low,
      double high,
      UnaryOperator<Tensor> ours,
      UnaryOperator<NDArray> theirs,
      double conditioning) {
    for (long[] shape : SHAPES) {
      cases.add(
          new OperatorCase(
              name + " " + Arrays.toString(shape),
              List.of(Input.uniform(low, high, shape)),
              in -> ours.apply(in.get(0)),
              in -> theirs.apply(in.get(0)),
              conditioning));
    }
  }

  private void binary() {
    binary("add", Add::add, NDArray::add);
    binary("subtract", Subtract::subtract, NDArray::sub);
    binary("multiply", Multiply::multiply, NDArray::mul);
    binary("divide", Divide::divide, NDArray::div);
    cases.add(
        new OperatorCase(
            "multiply by itself [5,9]",
            List.of(Input.normal(5, 9)),
            in -> Multiply.multiply(in.get(0), in.get(0)),
            in -> in.get(0).mul(in.get(0))));
    cases.add(
        new OperatorCase(
            "add to its own transpose [9,9]",
            List.of(Input.normal(9, 9)),
            in -> Add.add(in.get(0), Transpose.transpose(in.get(0), 0, 1)),
            in -> in.get(0).add(in.get(0).swapAxes(0, 1))));
  }

  private void binary(String name, BinaryOperator<Tensor> ours, BinaryOperator<NDArray> theirs) {
    for (long[][] pair : PAIRS) {
      cases.add(
          new OperatorCase(
              name + " " + Arrays.toString(pair[0]) + " " + Arrays.toString(pair[1]),
              // Away from 0, so that quotients stay moderate.
              List.of(Input.normal(pair[0]), Input.uniform(0.5, 2, pair[1])),
              in -> ours.apply(in.get(0), in.get(1)),
              in -> theirs.apply(in.get(0), in.get(1))));
    }
  }
}
