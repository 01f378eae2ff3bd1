package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = the indices start to end - 1 of x along one dim: a view.
 *
 * <p>dx = dy there, 0 elsewhere. Several slices of one tensor each cost a gradient of its full
 * size; operators that take packed arrays (such as {@link Attention#packed}) avoid that.
 */
public final class Slice {
  private Slice() {}

  /**
   * Indices {@code start} (inclusive) to {@code end} (exclusive) of {@code x} along {@code dim}.
   */
  public static Tensor slice(Tensor x, int dim, long start, long end) {
    return Tensor.from(x.value().slice(dim, start, end), new Saved(x, dim, start, end));
  }

  private record Saved(Tensor x, int dim, long start, long end) implements Node {
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
      NDArray dx = NDArray.zeros(dy.device(), dy.dtype(), x.shape());
      dy.kernels().copy(dy, dx.slice(dim, start, end));
      return Gradients.of(dx);
    }
  }
}
