package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What {@link Node#backward} returns: for each input in order a gradient, or null, or how to
 * compute it {@linkplain #later later}.
 */
public final class Gradients {
  private final @Nullable NDArray[] values;
  private @Nullable Later @Nullable [] later;

  /** A gradient not computed yet, and what it will be computed from. */
  record Later(Supplier<NDArray> gradient, @Nullable NDArray[] reads) {}

  private Gradients(@Nullable NDArray[] values) {
    this.values = values;
  }

  /** The gradients in the order of {@link Node#inputs()}. */
  public static Gradients of(@Nullable NDArray... values) {
    return new Gradients(values);
  }

  /**
   * Says how to compute the gradient of an input that nothing in the rest of the walk waits for if
   * it is a parameter. The engine does so at once, or, in a backward pass in two halves, in the
   * second (see {@link DeferredGradients}), or never, if the input requires no gradient.
   *
   * @param input its place in {@link Node#inputs()}, null among the values
   * @param gradient allocates and returns it; under the rules of {@link Node#backward}
   * @param reads every array that {@code gradient} reads: kept alive until then; null entries are
   *     skipped
   * @return these gradients
   */
  public Gradients later(int input, Supplier<NDArray> gradient, @Nullable NDArray... reads) {
    if (values[input] != null) {
      throw new IllegalArgumentException(
          "Gradients.later: input " + input + " has a value already; pass null for it to of()");
    }
    if (later == null) {
      later = new @Nullable Later[values.length];
    }
    later[input] = new Later(gradient, reads);
    return this;
  }

  int count() {
    return values.length;
  }

  /** How to compute the gradient of input {@code index}, or null if its {@link #get} is known. */
  @Nullable Later later(int index) {
    return later == null ? null : later[index];
  }

  /** The gradient of input {@code index}, computed now if it is not there yet. */
  @Nullable NDArray get(int index) {
    Later pending = later(index);
    return pending == null ? values[index] : pending.gradient.get();
  }
}
