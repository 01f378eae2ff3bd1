package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = a b, element by element, with numpy broadcasting.
 *
 * <p>da = dy b, db = dy a, each summed over the dims that broadcasting stretched.
 */
public final class Multiply {
  private Multiply() {}

  /** a b. */
  public static Tensor multiply(Tensor a, Tensor b) {
    return Tensor.from(
        Binary.forward("Multiply.multiply", BinaryOperation.MULTIPLY, a, b),
        new Saved(
            a,
            b,
            b.requiresGradient() ? a.value() : null,
            a.requiresGradient() ? b.value() : null));
  }

  private record Saved(Tensor a, Tensor b, @Nullable NDArray savedA, @Nullable NDArray savedB)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {a, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {savedA, savedB};
    }

    @Override
    public Gradients backward(NDArray dy) {
      return Gradients.of(
          savedB == null ? null : partial(dy, savedB, a),
          savedA == null ? null : partial(dy, savedA, b));
    }

    private static NDArray partial(NDArray dy, NDArray factor, Tensor input) {
      return Matrices.sumTo(Binary.apply(BinaryOperation.MULTIPLY, dy, factor), input.shape());
    }
  }
}
