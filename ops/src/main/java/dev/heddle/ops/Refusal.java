package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;

/** The words in which operators refuse an argument: operator, argument, got, wanted, hint. */
final class Refusal {
  private Refusal() {}

  static IllegalArgumentException of(
      String operator, String argument, Tensor got, String wanted, String hint) {
    return of(operator, argument, got.value(), wanted, hint);
  }

  static IllegalArgumentException of(
      String operator, String argument, NDArray got, String wanted, String hint) {
    return new IllegalArgumentException(
        operator + ": " + argument + " is " + name(got) + "; wanted " + wanted + ". " + hint);
  }

  static String name(NDArray array) {
    return array.dtype() + array.shape().toString();
  }

  static String name(Tensor tensor) {
    return name(tensor.value());
  }

  /** Refuses operands of different dtype. */
  static void unlessSameType(
      String operator, String argument, Tensor tensor, String otherName, Tensor other) {
    if (tensor.dtype() != other.dtype()) {
      throw of(
          operator,
          argument,
          tensor,
          other.dtype() + " like " + otherName + ", which is " + name(other),
          "Convert one of them with Cast.cast.");
    }
  }
}
