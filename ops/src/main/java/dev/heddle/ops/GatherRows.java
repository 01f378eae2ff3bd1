package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y[i,:] = x[rows[i],:], zeros where rows[i] is negative. x [R,C], rows [n] -> y [n,C].
 *
 * <p>dx[r,:] = Σ over the i with rows[i] = r of dy[i,:], in the order of i.
 */
public final class GatherRows {
  private GatherRows() {}

  /**
   * The rows of {@code x} that {@code rows} names, in that order; a row may be named often.
   *
   * @param rows [n] of I64 or I32
   * @throws IndexOutOfBoundsException if a row is not below R
   */
  public static Tensor gatherRows(Tensor x, NDArray rows) {
    if (x.rank() != 2) {
      throw Refusal.of("GatherRows.gatherRows", "x", x, "[R,C]", "Fold dims with Reshape.reshape.");
    }
    if (rows.rank() != 1) {
      throw Refusal.of(
          "GatherRows.gatherRows", "rows", rows, "[n]", "Fold its dims with reshape(-1).");
    }
    NDArray index = rows.contiguous();
    return Tensor.from(gathered(x.value(), index), new Saved(x, index));
  }

  private record Saved(Tensor x, NDArray rows) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[] {rows};
    }

    @Override
    public Gradients backward(NDArray dy) {
      return Gradients.of((NDArray) null).later(0, () -> dx(dy), dy, rows);
    }

    private NDArray dx(NDArray dy) {
      NDArray dx = NDArray.zeros(dy.device(), dy.dtype(), x.shape());
      dy.kernels().scatterAddRows(Matrices.rows(dy), rows, dx);
      return dx;
    }
  }

  /** The rows of a matrix that {@code rows} names, zeros for negative ones. */
  static NDArray gathered(NDArray x, NDArray rows) {
    NDArray y = NDArray.empty(x.device(), x.dtype(), rows.dim(0), x.dim(1));
    x.kernels().gatherRows(Matrices.rows(x), rows, y);
    return y;
  }
}
