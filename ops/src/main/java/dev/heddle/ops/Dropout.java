package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import org.jspecify.annotations.Nullable;

/**
 * y = m x / (1 - p) with m 1 with probability 1 - p, else 0 (Srivastava et al., "Dropout", JMLR
 * 2014). dx = m dy / (1 - p).
 *
 * <p>m is drawn by key and global index: it is the same under every layout, and drawn again, not
 * kept, for the backward.
 */
public final class Dropout {
  private Dropout() {}

  /**
   * {@code x} with each element zeroed with the given probability.
   *
   * @param probability in [0, 1); 0 gives {@code x} itself
   * @param key the stream to draw from; another one for each place and step
   * @param index where the elements of {@code x} stand in the whole tensor
   */
  public static Tensor dropout(Tensor x, double probability, RandomKey key, GlobalIndex index) {
    if (!(probability >= 0 && probability < 1)) {
      throw new IllegalArgumentException(
          "Dropout.dropout: probability is "
              + probability
              + "; wanted 0 or more and less than 1: the share of elements that are zeroed");
    }
    if (probability == 0) {
      return x;
    }
    return Tensor.from(
        masked(x.value(), probability, key, index), new Saved(x, probability, key, index));
  }

  private record Saved(Tensor x, double probability, RandomKey key, GlobalIndex index)
      implements Node {
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
      return Gradients.of(masked(dy, probability, key, index));
    }
  }

  private static NDArray masked(NDArray x, double probability, RandomKey key, GlobalIndex index) {
    NDArray y = Matrices.emptyLike(x);
    x.kernels().dropout(key, index, probability, x.contiguous(), y);
    return y;
  }
}
