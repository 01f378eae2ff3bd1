package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** y = Σ x over all dims or one. dx = dy, the same for all that were summed. */
public final class Sum {
  private Sum() {}

  /** The sum of all elements: a scalar. */
  public static Tensor sum(Tensor x) {
    long[] ones = new long[x.rank()];
    Arrays.fill(ones, 1);
    return sumTo(x, Shape.of(ones), Shape.of());
  }

  /** The sum along {@code dim}, which the result does not have. */
  public static Tensor sum(Tensor x, int dim) {
    int summed = x.shape().normalize(dim);
    long[] rest = new long[x.rank() - 1];
    for (int i = 0; i < rest.length; i++) {
      rest[i] = x.dim(i < summed ? i : i + 1);
    }
    return sumTo(x, x.shape().with(summed, 1), Shape.of(rest));
  }

  private static Tensor sumTo(Tensor x, Shape withOnes, Shape without) {
    NDArray y = NDArray.empty(x.device(), x.dtype(), withOnes);
    x.kernels().sumTo(x.value().contiguous(), y);
    return Tensor.from(y.reshape(without), new Saved(x, withOnes));
  }

  private record Saved(Tensor x, Shape withOnes) implements Node {
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
      return Gradients.of(dy.reshape(withOnes).expand(x.shape()));
    }
  }
}
