package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;

/** y = factor x.  dx = factor dy. */
public final class Scale {
  private Scale() {}

  /** {@code factor} times {@code x}. */
  public static Tensor scale(Tensor x, double factor) {
    NDArray y = NDArray.empty(x.device(), x.dtype(), x.shape());
    x.kernels().scale(x.value().contiguous(), factor, y);
    return Tensor.from(y, new Saved(x, factor));
  }

  private record Saved(Tensor x, double factor) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public NDArray[] saved() {
      return new NDArray[0];
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dx = NDArray.empty(dy.device(), dy.dtype(), dy.shape());
      dy.kernels().scale(dy.contiguous(), factor, dx);
      return Gradients.of(dx);
    }
  }
}
