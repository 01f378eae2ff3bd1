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

  /**
   * {@code x} with its first {@code heads} heads rotated and the others as they are, as the heads
   * of q and k of one projection are; <b>overwrites</b> {@code x}, which is handed over and must
   * not be read afterwards. (A leaf that requires a gradient is copied, not overwritten.)
   */
  public static Tensor rotaryOfFirst(Tensor x, long heads, RotaryTable table) {
    if (x.rank() != 4 || heads > x.dim(2)) {
      throw Refusal.of(
          "Rotary.rotaryOfFirst",
          "x",
          x,
          "[B,S,H,D] of " + heads + " heads or more",
          "Split heads.");
    }
    return Tensor.from(overwritten(x, heads, table), new SavedFirst(x, heads, table));
  }

  private record SavedFirst(Tensor x, long heads, RotaryTable table) implements Node {
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
      NDArray dx = dy.copy();
      NDArray rotated = dx.slice(2, 0, heads);
      dx.kernels().rotary(rotated, table.cos(), table.sin(), true, rotated);
      return Gradients.of(dx);
    }
  }

  /** The memory of {@code x}, its first heads rotated; a copy of a leaf that has a gradient. */
  static NDArray overwritten(Tensor x, long heads, RotaryTable table) {
    NDArray y = x.value();
    if (x.isLeaf() && x.requiresGradient()) {
      y = y.copy();
    } else {
      y = Attention.usable(y);
      // A graph that saved these values must notice that they change.
      y.block().touch();
    }
    NDArray rotated = y.slice(2, 0, heads);
    y.kernels().rotary(rotated, table.cos(), table.sin(), false, rotated);
    return y;
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
