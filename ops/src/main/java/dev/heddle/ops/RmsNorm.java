package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = x r w with r = 1 / sqrt(mean(x²) + epsilon) over the innermost dim (Zhang and Sennrich, "Root
 * Mean Square Layer Normalization", 2019). x [..,C], w [C] -> y [..,C].
 *
 * <p>With g = dy w: dx = r (g - x r² mean(g x)); dw = Σ_rows dy x r.
 */
public final class RmsNorm {
  private RmsNorm() {}

  /** Scales each row to mean square 1, then by {@code w}. */
  public static Tensor rmsNorm(Tensor x, Tensor w, double epsilon) {
    LayerNorm.checkNorm("RmsNorm.rmsNorm", x, w);
    NDArray input = x.value().contiguous();
    NDArray weight = w.value().contiguous();
    NDArray y = Matrices.emptyLike(input);
    NDArray rstd = Matrices.statistic(input, input.shape().rows());
    x.kernels().rmsNorm(input, weight, epsilon, y, rstd);
    return Tensor.from(y, new Saved(x, w, input, weight, rstd));
  }

  private record Saved(Tensor x, Tensor w, NDArray input, NDArray weight, NDArray rstd)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x, w};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[] {input, weight, rstd};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray dx = x.requiresGradient() ? Matrices.emptyLike(input) : null;
      NDArray dw = w.requiresGradient() ? Matrices.emptyLike(weight) : null;
      dy.kernels().rmsNormBackward(input, weight, rstd, dy.contiguous(), dx, dw);
      return Gradients.of(dx, dw);
    }
  }
}
