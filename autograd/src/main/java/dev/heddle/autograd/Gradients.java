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
  private @Nullable Together together;

  /** A gradient not computed yet, and what it will be computed from. */
  record Later(Supplier<NDArray> gradient, @Nullable NDArray[] reads) {}

  /**
   * How to compute the gradients of two inputs, both of which have a {@link Later} too, at once.
   */
  record Together(int first, int second, Supplier<NDArray[]> gradients, @Nullable NDArray[] reads) {
    boolean has(int input) {
      return input == first || input == second;
    }
  }

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

  /**
   * Says how to compute two gradients that were said to come {@linkplain #later later} in one go,
   * which the engine does where both are wanted: so a kernel that has both costs one pass over what
   * it reads.
   *
   * @param first the place of the one in {@link Node#inputs()}
   * @param second the place of the other, behind it
   * @param gradients allocates and returns both; under the rules of {@link Node#backward}
   * @param reads every array that {@code gradients} reads
   * @return these gradients
   */
  public Gradients together(
      int first, int second, Supplier<NDArray[]> gradients, @Nullable NDArray... reads) {
    if (first >= second || later(first) == null || later(second) == null) {
      throw new IllegalArgumentException(
          "Gradients.together: inputs "
              + first
              + " and "
              + second
              + "; wanted two in order that later() says how to compute one by one");
    }
    together = new Together(first, second, gradients, reads);
    return this;
  }

  /** How to compute two of these at once, or null. */
  @Nullable Together together() {
    return together;
  }

  /** Computes the two now, so that {@link #get} knows them. */
  void computeTogether() {
    Together both = together;
    if (both != null && later != null) {
      NDArray[] computed = both.gradients.get();
      values[both.first] = computed[0];
      values[both.second] = computed[1];
      later[both.first] = null;
      later[both.second] = null;
      together = null;
    }
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
