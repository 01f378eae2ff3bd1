package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = a / b, element by element, with numpy broadcasting.
 *
 * <p>da = dy / b, db = -y da, each summed over the dims that broadcasting stretched.
 */
public final class Divide {
  private Divide() {}

  /** a / b. */
  public static Tensor divide(Tensor a, Tensor b) {
    NDArray y = Binary.forward("Divide.divide", BinaryOperation.DIVIDE, a, b);
    return Tensor.from(y, new Saved(a, b, b.value(), b.requiresGradient() ? y : null));
  }

  private record Saved(Tensor a, Tensor b, NDArray savedB, @Nullable NDArray y) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {a, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {savedB, y};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray full = Binary.apply(BinaryOperation.DIVIDE, dy, savedB);
      NDArray db = null;
      if (y != null) {
        NDArray product = Binary.apply(BinaryOperation.MULTIPLY, y, full);
        product.kernels().scale(product, -1, product);
        db = Matrices.sumTo(product, b.shape());
      }
      return Gradients.of(a.requiresGradient() ? Matrices.sumTo(full, a.shape()) : null, db);
    }
  }
}
