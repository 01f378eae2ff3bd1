package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.function.Function;

/**
 * Trades time for memory: {@code y = recompute(block, x)} keeps only {@code x} of the forward and
 * runs {@code block} again when the gradient arrives (Chen et al., "Training Deep Nets with
 * Sublinear Memory Cost", 2016). Random values are drawn by key and index, so the second run, and
 * with it every gradient, has the same bits as without recomputation.
 */
public final class Recompute {
  private Recompute() {}

  /**
   * {@code block(x)}. Parameters that {@code block} uses get their gradients as usual.
   *
   * @param block a function of its argument and of leaves; must do the same when called again
   */
  public static Tensor recompute(Function<Tensor, Tensor> block, Tensor x) {
    if (!GradientMode.isEnabled()) {
      return block.apply(x);
    }
    NDArray y;
    try (GradientMode off = GradientMode.noGrad();
        MemoryScope inside = MemoryScope.temporaries()) {
      y = inside.keep(block.apply(x.detach()).value());
    }
    return Tensor.from(y, new Saved(block, x));
  }

  private record Saved(Function<Tensor, Tensor> block, Tensor x) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public NDArray[] saved() {
      return new NDArray[] {x.value()};
    }

    /** The block's parameters may need gradients even where its argument does not. */
    @Override
    public boolean requiresGradient() {
      return true;
    }

    @Override
    public Gradients backward(NDArray dy) {
      Tensor again = x.requiresGradient() ? Tensor.leaf(x.value()) : x.detach();
      Tensor y;
      try (GradientMode on = GradientMode.enableGrad()) {
        y = block.apply(again);
      }
      if (!y.requiresGradient()) {
        return Gradients.of((NDArray) null);
      }
      y.backward(dy);
      return Gradients.of(x.requiresGradient() ? again.gradient() : null);
    }
  }
}
