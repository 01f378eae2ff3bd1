package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One walk over a graph, from a result back to the leaves. First it counts, for every tensor that
 * the result depends on, how many uses will contribute; then it runs a node as soon as its tensor's
 * gradient is complete. The order depends only on the graph, so sums have a fixed order and the
 * same program gives the same bits. What a node saved, and the gradient it consumed, are released
 * as soon as it has run.
 *
 * <p>A pass may run inside another. {@link Recompute} runs one for the graph of its block: it ends
 * at the tensors that the pass around it walks over, and contributes to them in that pass's name.
 * Any other (a hook that calls {@code backward} on something else) is independent: a leaf that both
 * walk over keeps the outer pass's state aside meanwhile.
 */
final class BackwardPass {
  private static final ThreadLocal<@Nullable BackwardPass> CURRENT = new ThreadLocal<>();

  /** What an outer pass knew of a tensor that this pass walks over too. */
  private record Aside(
      Tensor tensor,
      BackwardPass pass,
      int pendingUses,
      @Nullable NDArray incoming,
      DeferredGradients.@Nullable Owed owed) {}

  private final boolean retainGraph;
  private final @Nullable BackwardPass around;
  private final @Nullable DeferredGradients deferred;
  private final List<Tensor> visited = new ArrayList<>();
  private final List<Tensor> ready = new ArrayList<>();
  private final List<Aside> aside = new ArrayList<>(0);

  /**
   * @param around the pass in whose name this one contributes to the tensors that it ends at
   * @param deferred where to leave what can be computed later; null to compute everything now
   */
  private BackwardPass(
      boolean retainGraph, @Nullable BackwardPass around, @Nullable DeferredGradients deferred) {
    this.retainGraph = retainGraph;
    this.around = around;
    this.deferred = deferred;
  }

  static void run(Tensor root, NDArray dy, boolean retainGraph) {
    checkRoot(root, dy);
    new BackwardPass(retainGraph, null, null).walk(root, dy);
  }

  /** Walks the graph and returns what it left for later. */
  static DeferredGradients runInputs(Tensor root, NDArray dy, Collection<Tensor> waitedFor) {
    checkRoot(root, dy);
    DeferredGradients deferred = new DeferredGradients(waitedFor);
    boolean walked = false;
    try {
      new BackwardPass(false, null, deferred).walk(root, dy);
      walked = true;
    } finally {
      if (walked) {
        deferred.recorded();
      } else {
        deferred.abandon();
      }
    }
    return deferred;
  }

  private static void checkRoot(Tensor root, NDArray dy) {
    if (!root.requiresGradient()) {
      throw new IllegalStateException(
          "backward: "
              + root.describe()
              + " requires no gradient: no leaf behind it does, or it"
              + " was computed under noGrad() or detached");
    }
    checkGradient(null, 0, root, dy);
  }

  /** Walks the graph of a recomputed block; called by its node's backward. */
  static void runInside(Tensor root, NDArray dy) {
    BackwardPass around = CURRENT.get();
    if (around == null || !root.requiresGradient() || around.contains(root.pass)) {
      throw new IllegalStateException(
          "backward of Recompute: the block gave "
              + root.describe()
              + ", made from other tensors"
              + " than in the forward; a recomputed block must do the same when called again");
    }
    checkGradient(null, 0, root, dy);
    new BackwardPass(false, around, around.deferred).walk(root, dy);
  }

  private void walk(Tensor root, NDArray dy) {
    BackwardPass before = CURRENT.get();
    CURRENT.set(this);
    try (GradientMode off = GradientMode.noGrad();
        MemoryScope scratch = MemoryScope.open()) {
      count(root);
      dy.retain();
      root.incoming = dy;
      ready.add(root);
      while (!ready.isEmpty()) {
        step(ready.removeLast(), scratch);
      }
    } finally {
      finish();
      if (before == null) {
        CURRENT.remove();
      } else {
        CURRENT.set(before);
      }
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
      record.check(tensor);
      for (Tensor input : record.inputs()) {
        if (input.requiresGradient() && visit(input)) {
          input.pendingUses++;
        }
      }
    }
  }

  /** Whether this pass walks over the tensor: marks it so, unless a pass around this one does. */
  private boolean visit(Tensor tensor) {
    BackwardPass other = tensor.pass;
    if (other == this) {
      return true;
    }
    if (other != null) {
      if (around != null && around.contains(other)) {
        return false;
      }
      aside.add(new Aside(tensor, other, tensor.pendingUses, tensor.incoming, tensor.owed));
    }
    tensor.pass = this;
    tensor.pendingUses = 0;
    tensor.incoming = null;
    tensor.owed = null;
    visited.add(tensor);
    return true;
  }

  /** Whether {@code other} is this pass or one in whose name it contributes. */
  private boolean contains(@Nullable BackwardPass other) {
    if (other != null) {
      for (BackwardPass pass = this; pass != null; pass = pass.around) {
        if (pass == other) {
          return true;
        }
      }
    }
    return false;
  }

  /** Handles a tensor whose gradient is complete (or known to be zero: nothing incoming). */
  private void step(Tensor tensor, MemoryScope scratch) {
    if (deferred != null && deferred.takes(tensor)) {
      deferred.complete(tensor);
      return;
    }
    NDArray dy = tensor.incoming;
    if (dy != null) {
      // Still held by `incoming`, so that a failure anywhere below releases it in finish().
      if (tensor.record == null) {
        stepLeaf(tensor, dy, scratch);
      } else {
        tensor.fireHooks(dy);
        runNode(tensor, tensor.record, dy);
      }
      tensor.incoming = null;
      dy.release();
    }
    GraphRecord record = tensor.record;
    if (record == null) {
      return;
    }
    Tensor[] inputs = record.inputs();
    if (!retainGraph) {
      record.release();
    }
    scratch.clear();
    // Pushed in order, so the last input is walked first: the reverse of the forward.
    for (Tensor input : inputs) {
      if (input.pass == this && --input.pendingUses == 0) {
        ready.add(input);
      }
    }
  }

  /** Accumulates a leaf's complete gradient, held by the caller, and tells its hooks. */
  static void stepLeaf(Tensor leaf, NDArray dy, MemoryScope scratch) {
    leaf.accumulate(dy);
    scratch.clear();
    NDArray complete = leaf.gradient();
    if (complete != null) {
      leaf.fireHooks(complete);
    }
  }

  private void runNode(Tensor tensor, GraphRecord record, NDArray dy) {
    Node node = record.check(tensor);
    Tensor[] inputs = record.inputs();
    Gradients gradients = node.backward(dy);
    if (gradients.count() != inputs.length) {
      throw new IllegalStateException(
          "backward of "
              + node.operator()
              + " returned "
              + gradients.count()
              + " gradients for "
              + inputs.length
              + " inputs");
    }
    Gradients.Together both = gradients.together();
    boolean puttingOffBoth = false;
    if (both != null) {
      Tensor first = inputs[both.first()];
      Tensor second = inputs[both.second()];
      if (first.requiresGradient() && second.requiresGradient()) {
        boolean puttingOff = deferred != null && deferred.takes(first);
        if (puttingOff == (deferred != null && deferred.takes(second))) {
          puttingOffBoth = puttingOff;
          if (!puttingOff) {
            gradients.computeTogether();
          }
        }
      }
    }
    for (int i = 0; i < inputs.length; i++) {
      Tensor input = inputs[i];
      if (!input.requiresGradient()) {
        continue;
      }
      if (deferred != null && deferred.takes(input)) {
        if (both == null || !puttingOffBoth || !both.has(i)) {
          deferred.add(input, node, i, gradients);
        } else if (i == both.first()) {
          // The second goes with it.
          deferred.add(input, inputs[both.second()], node, both);
        }
        continue;
      }
      NDArray gradient = gradients.get(i);
      if (gradient != null) {
        checkGradient(node, i, input, gradient);
        input.incoming = sum(input.incoming, gradient);
      }
    }
  }

  /**
   * {@code sum + gradient}; the caller holds one reference on the sum, and on the result instead.
   *
   * @param sum null for none yet
   */
  static NDArray sum(@Nullable NDArray sum, NDArray gradient) {
    if (sum == null) {
      gradient.retain();
      return gradient;
    }
    if (sum.isContiguous() && sum.block().references() == 1) {
      // Nobody else holds this sum: add in place.
      sum.kernels().addScaled(gradient.contiguous(), 1, sum);
      return sum;
    }
    NDArray total = sum.copy();
    total.kernels().addScaled(gradient.contiguous(), 1, total);
    total.retain();
    sum.release();
    return total;
  }

  /** Takes this pass's marks off the tensors, also after a failure half-way. */
  private void finish() {
    for (Tensor tensor : visited) {
      NDArray left = tensor.incoming;
      if (left != null) {
        left.release();
      }
      tensor.incoming = null;
      tensor.owed = null;
      tensor.pendingUses = 0;
      tensor.pass = null;
    }
    for (Aside outer : aside) {
      outer.tensor.pass = outer.pass;
      outer.tensor.pendingUses = outer.pendingUses;
      outer.tensor.incoming = outer.incoming;
      outer.tensor.owed = outer.owed;
    }
  }

  /**
   * That a gradient fits its tensor.
   *
   * @param node whose backward gave it for its input {@code index}; null for a root's
   */
  static void checkGradient(@Nullable Node node, int index, Tensor tensor, NDArray gradient) {
    if (!gradient.shape().equals(tensor.shape()) || gradient.dtype() != tensor.dtype()) {
      throw new IllegalArgumentException(
          (node == null ? "backward" : "backward of " + node.operator() + ", input " + index)
              + ": the gradient is "
              + gradient.dtype()
              + gradient.shape()
              + ", the tensor is "
              + tensor.dtype()
              + tensor.shape()
              + "; they must agree");
    }
  }
}
