package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = silu(g) u with x = [g, u] (Shazeer, "GLU Variants Improve Transformer", 2020). x [..,2H] -> y
 * [..,H].
 *
 * <p>With σ the logistic function: dg = σ(g) (1 + g (1 - σ(g))) u dy; du = silu(g) dy.
 */
public final class SwiGlu {
  private SwiGlu() {}

  /** The first half of the innermost dim gates the second. */
  public static Tensor swiglu(Tensor x) {
    if (x.rank() < 1 || x.dim(-1) % 2 != 0) {
      throw Refusal.of(
          "SwiGlu.swiglu",
          "x",
          x,
          "[..,2H]",
          "The innermost dim holds the gates, then the values.");
    }
    NDArray rows = Matrices.rows(x.value());
    long half = rows.dim(1) / 2;
    NDArray y = NDArray.empty(x.device(), x.dtype(), rows.dim(0), half);
    x.kernels().swiglu(rows.slice(1, 0, half), rows.slice(1, half, 2 * half), y);
    return Tensor.from(y.reshape(x.shape().with(-1, half)), new Saved(x, rows));
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
      long half = rows.dim(1) / 2;
      NDArray dx = NDArray.empty(dy.device(), dy.dtype(), rows.shape());
      dy.kernels()
          .swigluBackward(
              rows.slice(1, 0, half),
              rows.slice(1, half, 2 * half),
              Matrices.rows(dy).contiguous(),
              dx.slice(1, 0, half),
              dx.slice(1, half, 2 * half));
      return Gradients.of(dx.reshape(x.shape()));
    }
  }
}
