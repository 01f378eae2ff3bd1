package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * How a tensor was made: its inputs, what the backward needs of the forward, and the backward. An
 * operator is a record that implements this, directly below its forward (see {@link Tensor#from}).
 */
public interface Node {
  /** The tensors that the value was computed from, in the order of {@link #backward}'s result. */
  Tensor[] inputs();

  /**
   * The arrays that {@link #backward} will read. The engine keeps their memory alive until the
   * backward has run or the graph's scope closes, and refuses to run it if one of them was changed
   * in place meanwhile. Null entries are skipped, so that an operator can save only what the
   * gradients that are needed want.
   */
  @Nullable NDArray[] saved();

  /**
   * The gradients of the inputs, given the gradient of the value: one entry an input, of the
   * input's shape and dtype. Null where {@link Tensor#requiresGradient()} is false, or where the
   * gradient is zero everywhere. What is costly and nobody may wait for, such as the gradient of a
   * weight, it can offer to compute {@linkplain Gradients#later later}. May return {@code dy}
   * itself or a view of it; must not change {@code dy}, which may have any strides. Runs with
   * gradients off; what it allocates and does not return is given back afterwards.
   */
  Gradients backward(NDArray dy);

  /** Whether the value needs a gradient: by default, whether an input does. */
  default boolean requiresGradient() {
    for (Tensor input : inputs()) {
      if (input.requiresGradient()) {
        return true;
      }
    }
    return false;
  }

  /** The operator's name in messages: by default the class that the record stands in. */
  default String operator() {
    String name = getClass().getName();
    name = name.substring(name.lastIndexOf('.') + 1);
    int nested = name.indexOf('$');
    return nested < 0 ? name : name.substring(0, nested);
  }
}
