package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = n w + b with n = (x - mean) r, r = 1 / sqrt(var + epsilon), mean and var over the innermost
 * dim (Ba, Kiros and Hinton, "Layer Normalization", 2016). x [..,C], w [C], b [C] or none -> y
 * [..,C].
 *
 * <p>With g = dy w and means over the innermost dim: dx = r (g - mean(g) - n mean(g n)); dw =
 * Σ_rows dy n; db = Σ_rows dy.
 */
public final class LayerNorm {
  private LayerNorm() {}

  /** Normalizes each row to mean 0 and variance 1, then scales and shifts it. */
  public static Tensor layerNorm(Tensor x, Tensor w, @Nullable Tensor b, double epsilon) {
    checkNorm("LayerNorm.layerNorm", x, w);
    if (b != null) {
      checkVector("LayerNorm.layerNorm", "b", b, x);
    }
    NDArray input = x.value().contiguous();
    NDArray weight = w.value().contiguous();
    NDArray bias = b == null ? null : b.value().contiguous();
    long rows = input.shape().rows();
    NDArray y = Matrices.emptyLike(input);
    NDArray mean = Matrices.statistic(input, rows);
    NDArray rstd = Matrices.statistic(input, rows);
    x.kernels().layerNorm(input, weight, bias, epsilon, y, mean, rstd);
    boolean needsStatistics = x.requiresGradient() || w.requiresGradient();
    return Tensor.from(
        y,
        new Saved(
            x,
            w,
            b,
            needsStatistics ? input : null,
            needsStatistics ? weight : null,
            needsStatistics ? mean : null,
            needsStatistics ? rstd : null));
  }

  private record Saved(
      Tensor x,
      Tensor w,
      @Nullable Tensor b,
      @Nullable NDArray input,
      @Nullable NDArray weight,
      @Nullable NDArray mean,
      @Nullable NDArray rstd)
      implements Node {
    @Override
    public Tensor[] inputs() {
      return b == null ? new Tensor[] {x, w} : new Tensor[] {x, w, b};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new @Nullable NDArray[] {input, weight, mean, rstd};
    }

    @Override
    public Gradients backward(NDArray dy) {
      NDArray packed = dy.contiguous();
      NDArray db = b != null && b.requiresGradient() ? Matrices.emptyLike(b.value()) : null;
      if (input == null || weight == null || mean == null || rstd == null) {
        if (db != null) {
          packed.kernels().sumTo(packed, db);
        }
        return b == null ? Gradients.of(null, null) : Gradients.of(null, null, db);
      }
      NDArray dx = x.requiresGradient() ? Matrices.emptyLike(input) : null;
      NDArray dw = w.requiresGradient() ? Matrices.emptyLike(weight) : null;
      packed.kernels().layerNormBackward(input, weight, mean, rstd, packed, dx, dw, db);
      return b == null ? Gradients.of(dx, dw) : Gradients.of(dx, dw, db);
    }
  }

  static void checkNorm(String operator, Tensor x, Tensor w) {
    if (x.rank() < 1) {
      throw Refusal.of(operator, "x", x, "[..,C]", "A scalar has no dim to go over.");
    }
    checkVector(operator, "w", w, x);
  }

  private static void checkVector(String operator, String argument, Tensor vector, Tensor x) {
    if (vector.rank() != 1 || vector.dim(0) != x.dim(-1)) {
      throw Refusal.of(
          operator,
          argument,
          vector,
          "[" + x.dim(-1) + "] for x " + Refusal.name(x),
          "There is one value a feature of the innermost dim.");
    }
    Refusal.unlessSameType(operator, argument, vector, "x", x);
  }
}
