package dev.heddle.ops;

import dev.heddle.autograd.Gradients;
import dev.heddle.autograd.Node;
import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * y = x with each pair (d, d + D/2) of a head rotated by the angle of its position (Su et al.,
 * "RoFormer", 2021). x [B,S,H,D] -> y [B,S,H,D].
 *
 * <p>dx = dy rotated back.
 */
public final class Rotary {
  private Rotary() {}

  /** {@code x} rotated by the angles of {@code table}, whose S is that of {@code x}. */
  public static Tensor rotary(Tensor x, RotaryTable table) {
    if (x.rank() != 4) {
      throw Refusal.of("Rotary.rotary", "x", x, "[B,S,H,D]", "Split heads with Reshape.reshape.");
    }
    return Tensor.from(rotated(x.value(), table, false), new Saved(x, table));
  }

  private record Saved(Tensor x, RotaryTable table) implements Node {
    @Override
    public Tensor[] inputs() {
      return new Tensor[] {x};
    }

    @Override
    public @Nullable NDArray[] saved() {
      return new NDArray[] {table.cos(), table.sin()};
    }

    @Override
    public Gradients backward(NDArray dy) {
      return Gradients.of(rotated(dy, table, true));
    }
  }

  private static NDArray rotated(NDArray x, RotaryTable table, boolean inverse) {
    NDArray y = Matrices.emptyLike(x);
    x.kernels().rotary(Attention.usable(x), table.cos(), table.sin(), inverse, y);
    return y;
  }
}
