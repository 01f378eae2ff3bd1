package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * Trades time for memory: {@code y = recompute(block, x)} keeps only {@code x} of the forward and
 * runs {@code block} again when the gradient arrives (Chen et al., "Training Deep Nets with
 * Sublinear Memory Cost", 2016). Random values are drawn by key and index, so the second run, and
 * with it every gradient, has the same bits as without recomputation.
 *
 * <p>What the block uses from outside (parameters, or any other tensor) is noted in the first run
 * and becomes an input of the recorded node. So the engine knows when the gradient of a parameter
 * is complete, also if other blocks or other operators use it too, and adds up the contributions in
 * the order in which it would without recomputation.
 */
public final class Recompute {
  private Recompute() {}

  /**
   * {@code block(x)}. Parameters and other tensors that {@code block} uses get their gradients as
   * usual.
   *
   * @param block must do the same when called again; its intermediates are not kept
   */
  public static Tensor recompute(Function<Tensor, Tensor> block, Tensor x) {
    if (!GradientMode.isEnabled()) {
      return block.apply(x);
    }
    Captures captures = new Captures();
    if (x.requiresGradient()) {
      captures.note(new Tensor[] {x});
    }
    Tensor y;
    try (GradientMode off = GradientMode.capturing(captures);
        MemoryScope inside = MemoryScope.temporaries()) {
      y = inside.keep(block.apply(x));
    }
    // A block that hands back what it was given made nothing to recompute.
    return y.requiresGradient()
        ? y
        : Tensor.from(y.value(), new Saved(block, x, captures.tensors()));
  }

  private record Saved(Function<Tensor, Tensor> block, Tensor x, Tensor[] used) implements Node {
    @Override
    public Tensor[] inputs() {
      return used;
    }

    @Override
    public @Nullable NDArray[] saved() {
      NDArray[] values = new NDArray[used.length + 1];
      for (int i = 0; i < used.length; i++) {
        values[i] = used[i].value();
      }
      values[used.length] = x.value();
      return values;
    }

    @Override
    public Gradients backward(NDArray dy) {
      Tensor y;
      try (GradientMode on = GradientMode.enableGrad();
          MemoryScope inside = MemoryScope.temporaries()) {
        y = inside.keep(block.apply(x));
      }
      BackwardPass.runInside(y, dy);
      // The inner pass has already contributed to the inputs, in the order of the block's nodes.
      return Gradients.of(new @Nullable NDArray[used.length]);
    }
  }
}
