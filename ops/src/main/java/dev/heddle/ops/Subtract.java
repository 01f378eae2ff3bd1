package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = a - b with numpy broadcasting.
 *
 * <p>da = dy, db = -dy, each summed over the dims that broadcasting stretched.
 */
public final class Subtract {
  private Subtract() {}

  /** a - b. */
  public static Tensor subtract(Tensor a, Tensor b) {
    return Tensor.from(
        Binary.forward("Subtract.subtract", BinaryOperation.SUBTRACT, a, b), new Saved(a, b));
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
      NDArray db = null;
      if (b.requiresGradient()) {
        NDArray sum = Matrices.sumTo(dy, b.shape()).contiguous();
        db = Matrices.emptyLike(sum);
        db.kernels().scale(sum, -1, db);
      }
      return Gradients.of(a.requiresGradient() ? Matrices.sumTo(dy, a.shape()) : null, db);
    }
  }
}
