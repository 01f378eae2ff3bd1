package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/** The same elements in row-major order under another shape. dx = dy under the shape of x. */
public final class Reshape {
  private Reshape() {}

  /** {@code x} with the given sizes, one of which may be -1: a view where strides allow it. */
  public static Tensor reshape(Tensor x, long... dims) {
    return result(x, x.value().reshape(dims));
  }

  /** {@code x} with the given shape: a view where strides allow it, else a copy. */
  public static Tensor reshape(Tensor x, Shape shape) {
    return result(x, x.value().reshape(shape));
  }

  private static Tensor result(Tensor x, NDArray y) {
    return Tensor.from(y, new Saved(x));
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
      return Gradients.of(dy.reshape(x.shape()));
    }
  }
}
