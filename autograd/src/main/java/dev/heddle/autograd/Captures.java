package dev.heddle.autograd;

import java.util.LinkedHashSet;
import java.util.SequencedSet;

/**
 * The tensors requiring gradients that a function used, in the order of first use. While it runs
 * unrecorded all that it makes is constant, so whatever requires a gradient came from outside: its
 * argument, parameters, or any other tensor that it closes over.
 */
final class Captures {
  private final SequencedSet<Tensor> ordered = new LinkedHashSet<>();

  void note(Tensor[] inputs) {
    for (Tensor input : inputs) {
      if (input.requiresGradient()) {
        ordered.add(input);
      }
    }
  }

  Tensor[] tensors() {
    return ordered.toArray(new Tensor[0]);
  }
}
