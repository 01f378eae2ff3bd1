package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One walk over a graph, from a result back to the leaves. First it counts, for every tensor that
 * the result depends on, how many uses will contribute; then it runs a node as soon as its tensor's
 * gradient is complete. The order depends only on the graph, so sums have a fixed order and the
 * same program gives the same bits. What a node saved, and the gradient it consumed, are released
 * as soon as it has run.
 *
 * <p>A pass may run inside another (recomputation does). A leaf that both walk over keeps the outer
 * pass's state aside meanwhile.
 */
final class BackwardPass {
  /** What an outer pass knew of a tensor that this pass walks over too. */
  private record Aside(
      Tensor tensor, BackwardPass pass, int pendingUses, @Nullable NDArray incoming) {}

  private final boolean retainGraph;
  private final List<Tensor> visited = new ArrayList<>();
  private final List<Tensor> ready = new ArrayList<>();
  private final List<Aside> aside = new ArrayList<>(0);

  private BackwardPass(boolean retainGraph) {
    this.retainGraph = retainGraph;
  }

  static void run(Tensor root, NDArray dy, boolean retainGraph) {
    if (!root.requiresGradient()) {
      throw new IllegalStateException(
          "backward: " + root.describe() + " requires no gradient: no leaf behind it does, or it"
              + " was computed under noGrad() or detached");
    }
    checkGradient("backward", root, dy);
    BackwardPass pass = new BackwardPass(retainGraph);
    try (GradientMode off = GradientMode.noGrad();
        MemoryScope scratch = MemoryScope.open()) {
      pass.count(root);
      dy.retain();
      root.incoming = dy;
      pass.ready.add(root);
      while (!pass.ready.isEmpty()) {
        pass.step(pass.ready.removeLast(), scratch);
      }
    } finally {
      pass.finish();
    }
  }

  /** Visits all that {@code root} depends on and counts the uses of each tensor. */
  private void count(Tensor root) {
    visit(root);
    for (int i = 0; i < visited.size(); i++) {
      Tensor tensor = visited.get(i);
      GraphRecord record = tensor.record;
      if (record == null) {
        continue;
      }
      for (Tensor input : record.check(tensor).inputs()) {
        if (input.requiresGradient()) {
          visit(input);
          input.pendingUses++;
        }
      }
    }
  }

  private void visit(Tensor tensor) {
    BackwardPass other = tensor.pass;
    if (other == this) {
      return;
    }
    if (other != null) {
      aside.add(new Aside(tensor, other, tensor.pendingUses, tensor.incoming));
    }
    tensor.pass = this;
    tensor.pendingUses = 0;
    tensor.incoming = null;
    visited.add(tensor);
  }

  /** Handles a tensor whose gradient is complete (or known to be zero: nothing incoming). */
  private void step(Tensor tensor, MemoryScope scratch) {
    NDArray dy = tensor.incoming;
    tensor.incoming = null;
    GraphRecord record = tensor.record;
    if (record == null) {
      if (dy != null) {
        tensor.accumulate(dy);
        scratch.clear();
        NDArray complete = tensor.gradient();
        if (complete != null) {
          tensor.fireHooks(complete);
        }
      }
      return;
    }
    Node node = record.check(tensor);
    Tensor[] inputs = node.inputs();
    if (dy != null) {
      tensor.fireHooks(dy);
      Gradients gradients = node.backward(dy);
      if (gradients.count() != inputs.length) {
        throw new IllegalStateException(
            "backward of " + node.operator() + " returned " + gradients.count()
                + " gradients for " + inputs.length + " inputs");
      }
      for (int i = 0; i < inputs.length; i++) {
        NDArray gradient = gradients.get(i);
        if (inputs[i].requiresGradient() && gradient != null) {
          checkGradient("backward of " + node.operator() + ", input " + i, inputs[i], gradient);
          contribute(inputs[i], gradient);
        }
      }
      dy.release();
    }
    if (!retainGraph) {
      record.release();
    }
    scratch.clear();
    // Pushed in order, so the last input is walked first: the reverse of the forward.
    for (Tensor input : inputs) {
      if (input.requiresGradient() && --input.pendingUses == 0) {
        ready.add(input);
      }
    }
  }

  private static void contribute(Tensor input, NDArray gradient) {
    NDArray sum = input.incoming;
    if (sum == null) {
      gradient.retain();
      input.incoming = gradient;
    } else if (sum.isContiguous() && sum.block().references() == 1) {
      // Nobody else holds this sum: add in place.
      sum.kernels().addScaled(gradient.contiguous(), 1, sum);
    } else {
      NDArray total = sum.copy();
      total.kernels().addScaled(gradient.contiguous(), 1, total);
      total.retain();
      input.incoming = total;
      sum.release();
    }
  }

  /** Takes this pass's marks off the tensors, also after a failure half-way. */
  private void finish() {
    for (Tensor tensor : visited) {
      NDArray left = tensor.incoming;
      if (left != null) {
        left.release();
      }
      tensor.incoming = null;
      tensor.pendingUses = 0;
      tensor.pass = null;
    }
    for (Aside outer : aside) {
      outer.tensor.pass = outer.pass;
      outer.tensor.pendingUses = outer.pendingUses;
      outer.tensor.incoming = outer.incoming;
    }
  }

  private static void checkGradient(String where, Tensor tensor, NDArray gradient) {
    if (!gradient.shape().equals(tensor.shape()) || gradient.dtype() != tensor.dtype()) {
      throw new IllegalArgumentException(
          where + ": the gradient is " + gradient.dtype() + gradient.shape() + ", the tensor is "
              + tensor.dtype() + tensor.shape() + "; they must agree");
    }
  }
}
