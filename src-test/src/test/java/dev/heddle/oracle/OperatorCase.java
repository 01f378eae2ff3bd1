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
 * @param size that values have at least where they do not cancel: a sum that comes out small still
 *     has the rounding of its terms
 */
record OperatorCase(
    String name,
    List<Input> inputs,
    Ours ours,
    Function<NDList, NDArray> theirs,
    double conditioning,
    double size) {
  /** A well-conditioned case. */
  OperatorCase(String name, List<Input> inputs, Ours ours, Function<NDList, NDArray> theirs) {
    this(name, inputs, ours, theirs, 1, Tolerance.SMALLEST_SIZE);
  }

  /** A case whose inputs amplify rounding. */
  OperatorCase(
      String name,
      List<Input> inputs,
      Ours ours,
      Function<NDList, NDArray> theirs,
      double conditioning) {
    this(name, inputs, ours, theirs, conditioning, Tolerance.SMALLEST_SIZE);
  }

  /** This case with inputs that amplify rounding. */
  OperatorCase amplifying(double factor) {
    return new OperatorCase(name, inputs, ours, theirs, factor, size);
  }

  /** This case where each value is a sum of so many terms of variance one. */
  OperatorCase summing(long terms) {
    return new OperatorCase(name, inputs, ours, theirs, conditioning, Math.sqrt(terms));
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
