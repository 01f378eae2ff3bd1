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

  /**
   * {@link #dropout(Tensor, double, RandomKey, GlobalIndex)} of some positions of a tensor.
   *
   * @param x [B,n,C]: n of the S positions of a whole [B,S,C]
   * @param index where the elements of the whole [B,S,C] stand
   * @param positions which n positions {@code x} has
   */
  public static Tensor dropout(
      Tensor x, double probability, RandomKey key, GlobalIndex index, long... positions) {
    if (x.rank() != 3 || x.dim(1) != positions.length) {
      throw Refusal.of(
          "Dropout.dropout",
          "x",
          x,
          "[B," + positions.length + ",C] for " + positions.length + " positions",
          "Name the position of every row.");
    }
    if (probability == 0) {
      return x;
    }
    NDArray y = maskedAt(x.value(), probability, key, index, positions);
    return Tensor.from(y, new SavedAt(x, probability, key, index, positions));
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

  @SuppressWarnings("ArrayRecordComponent") // never compared
  private record SavedAt(
      Tensor x, double probability, RandomKey key, GlobalIndex index, long[] positions)
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
      return Gradients.of(maskedAt(dy, probability, key, index, positions));
    }
  }

  private static NDArray masked(NDArray x, double probability, RandomKey key, GlobalIndex index) {
    NDArray y = Matrices.emptyLike(x);
    x.kernels().dropout(key, index, probability, x.contiguous(), y);
    return y;
  }

  /** Masked run by run of consecutive positions: within a run, indices rise evenly. */
  private static NDArray maskedAt(
      NDArray x, double probability, RandomKey key, GlobalIndex index, long[] positions) {
    NDArray packed = x.contiguous();
    NDArray y = Matrices.emptyLike(x);
    long[] strides = index.strides();
    for (int start = 0; start < positions.length; ) {
      int end = start + 1;
      while (end < positions.length && positions[end] == positions[end - 1] + 1) {
        end++;
      }
      for (long lane = 0; lane < x.dim(0); lane++) {
        long base = index.base() + lane * strides[0] + positions[start] * strides[1];
        x.kernels()
            .dropout(
                key,
                new GlobalIndex(base, strides),
                probability,
                packed.slice(0, lane, lane + 1).slice(1, start, end),
                y.slice(0, lane, lane + 1).slice(1, start, end));
      }
      start = end;
    }
    return y;
  }
}
