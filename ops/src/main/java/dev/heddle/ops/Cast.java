package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/** y = x in another element type. dx = dy in the type of x. */
public final class Cast {
  private Cast() {}

  /** {@code x} converted to {@code dtype}; itself if it has that type. */
  public static Tensor cast(Tensor x, DType dtype) {
    if (x.dtype() == dtype) {
      return x;
    }
    NDArray y = x.value().cast(dtype);
    return dtype.isFloating() ? Tensor.from(y, new Saved(x)) : Tensor.constant(y);
  }

  private record Saved(Tensor x) implements Node {
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
      return Gradients.of(dy.cast(x.dtype()));
    }
  }
}
