package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/** y = factor x. dx = factor dy. */
public final class Scale {
  private Scale() {}

  /** {@code factor} times {@code x}. */
  public static Tensor scale(Tensor x, double factor) {
    return Tensor.from(scaled(x.value(), factor), new Saved(x, factor));
  }

  private record Saved(Tensor x, double factor) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      return Gradients.of(scaled(dy, factor));
    }
  }

  private static NDArray scaled(NDArray x, double factor) {
    NDArray y = Matrices.emptyLike(x);
    x.kernels().scale(x.contiguous(), factor, y);
    return y;
  }
}
