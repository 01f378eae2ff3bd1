package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = a + b with numpy broadcasting.
 *
 * <p>da = dy, db = dy, each summed over the dims that broadcasting stretched.
 */
public final class Add {
  private Add() {}

  /** a + b. */
  public static Tensor add(Tensor a, Tensor b) {
    return Tensor.from(Binary.forward("Add.add", BinaryOperation.ADD, a, b), new Saved(a, b));
  }

  private record Saved(Tensor a, Tensor b) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {a, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      return Gradients.of(
          a.requiresGradient() ? Matrices.sumTo(dy, a.shape()) : null,
          b.requiresGradient() ? Matrices.sumTo(dy, b.shape()) : null);
    }
  }
}
