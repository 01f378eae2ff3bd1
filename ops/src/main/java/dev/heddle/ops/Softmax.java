package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y_i = e^(x_i) / Σ_j e^(x_j) over the innermost dim. x [..,C] -> y [..,C].
 *
 * <p>dx = y (dy - Σ_j dy_j y_j).
 */
public final class Softmax {
  private Softmax() {}

  /** Softmax of each row; a row of -inf gives zeros. */
  public static Tensor softmax(Tensor x) {
    if (x.rank() < 1) {
      throw Refusal.of("Softmax.softmax", "x", x, "[..,C]", "A scalar has no dim to go over.");
    }
    NDArray y = Matrices.emptyLike(x.value());
    x.kernels().softmax(x.value().contiguous(), y);
    return Tensor.from(y, new Saved(x, y));
  }

  private record Saved(Tensor x, NDArray y) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[] {y};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dx = Matrices.emptyLike(y);
      dy.kernels().softmaxBackward(y, dy.contiguous(), dx);
      return Gradients.of(dx);
    }
  }
}
