package dev.heddle.oracle;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDList;
import dev.heddle.autograd.Tensor;
import java.util.List;
import java.util.function.Function;

/**
 * An operator here and the same in libtorch.
 *
 * @param name the line in the test report
 * @param inputs what both are given; whole numbers arrive as constants of type I64
 * @param ours the operator under test
 * @param theirs the same function of the same inputs
 * @param conditioning by how much these inputs amplify the rounding of single precision: 1, or more
 *     where terms cancel (1 - tanh² near 1) or an exponent is large
 */
record OperatorCase(
    String name,
    List<Input> inputs,
    Ours ours,
    Function<NDList, NDArray> theirs,
    double conditioning) {
  /** A well-conditioned case. */
  OperatorCase(String name, List<Input> inputs, Ours ours, Function<NDList, NDArray> theirs) {
    this(name, inputs, ours, theirs, 1);
  }

  /** This case with inputs that amplify rounding. */
  OperatorCase amplifying(double factor) {
    return new OperatorCase(name, inputs, ours, theirs, factor);
  }

  /** The operator under test. */
  @FunctionalInterface
  interface Ours {
    /** The result for these inputs. */
    Tensor apply(Inputs inputs);
  }

  /** The inputs by position. */
  record Inputs(List<Tensor> tensors) {
    /** Input {@code index}. */
    Tensor get(int index) {
      return tensors.get(index);
    }

    /** The bare array of input {@code index}: for whole numbers. */
    dev.heddle.runtime.NDArray array(int index) {
      return tensors.get(index).value();
    }
  }

  @Override
  public String toString() {
    return name;
  }
}
