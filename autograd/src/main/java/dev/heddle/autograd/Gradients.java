package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/** What {@link Node#backward} returns: a gradient, or null, for each input in order. */
public final class Gradients {
  private final @Nullable NDArray[] values;

  private Gradients(@Nullable NDArray[] values) {
    this.values = values;
  }

  /** The gradients in the order of {@link Node#inputs()}. */
  public static Gradients of(@Nullable NDArray... values) {
    return new Gradients(values);
  }

  int count() {
    return values.length;
  }

  @Nullable NDArray get(int index) {
    return values[index];
  }
}
