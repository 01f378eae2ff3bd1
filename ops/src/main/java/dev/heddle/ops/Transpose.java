package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/** The same elements with the dims in another order: a view. dx = dy with the order undone. */
public final class Transpose {
  private Transpose() {}

  /** {@code x} with dims {@code a} and {@code b} swapped. */
  public static Tensor transpose(Tensor x, int a, int b) {
    int[] order = new int[x.rank()];
    for (int i = 0; i < order.length; i++) {
      order[i] = i;
    }
    int first = x.shape().normalize(a);
    int second = x.shape().normalize(b);
    order[first] = second;
    order[second] = first;
    return permute(x, order);
  }

  /** {@code x} with its dims in the given order. */
  public static Tensor permute(Tensor x, int... order) {
    return Tensor.from(x.value().permute(order), new Saved(x, order.clone()));
  }

  private record Saved(Tensor x, int[] order) implements Node {
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
      int[] inverse = new int[order.length];
      for (int i = 0; i < order.length; i++) {
        inverse[x.shape().normalize(order[i])] = i;
      }
      return Gradients.of(dy.permute(inverse));
    }
  }
}
