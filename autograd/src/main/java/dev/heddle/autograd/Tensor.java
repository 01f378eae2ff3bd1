package dev.heddle.autograd;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.runtime.memory.Owned;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An {@link NDArray} that remembers how it was made. A tensor without a record is a leaf: a
 * constant, or (if it requires a gradient) something that {@link #backward()} accumulates a
 * gradient for.
 *
 * <p>Operators are functions in {@code ops}; they end in {@link #from}. A tensor belongs to the
 * thread, and its memory to the {@link MemoryScope}, that made it.
 */
public final class Tensor implements Owned {
  private final NDArray value;
  private final boolean requiresGradient;
  private final @Nullable MemoryScope home;
  @Nullable GraphRecord record;
  private @Nullable NDArray gradient;
  private @Nullable NDArray gradientPlace;
  private @Nullable List<GradientHook> hooks;

  // State of the backward pass that is walking over this tensor; see BackwardPass.
  @Nullable BackwardPass pass;
  int pendingUses;
  @Nullable NDArray incoming;
  DeferredGradients.@Nullable Owed owed;

  // How many second halves of backward passes still owe this leaf something.
  int owing;

  private Tensor(
      NDArray value,
      boolean requiresGradient,
      @Nullable GraphRecord record,
      @Nullable MemoryScope home) {
    this.value = value;
    this.requiresGradient = requiresGradient;
    this.record = record;
    this.home = home;
  }

  // ---- making tensors

  /** A constant: no gradient is computed for it. */
  public static Tensor constant(NDArray value) {
    return new Tensor(value, false, null, null);
  }

  /**
   * A leaf whose gradient {@link #backward()} accumulates. The gradient belongs to the scope that
   * is open now, like the value.
   *
   * @throws IllegalArgumentException if the dtype is not a floating one
   */
  public static Tensor leaf(NDArray value) {
    if (!value.dtype().isFloating()) {
      throw new IllegalArgumentException(
          "Tensor.leaf: only floating-point tensors have gradients, got "
              + value
              + "; use Tensor.constant");
    }
    return new Tensor(value, true, null, MemoryScope.currentLasting());
  }

  /**
   * The result of an operator: {@code value}, made as {@code node} says. If gradients are off or
   * none is needed, the result is a constant and {@code node} is dropped with all that it saved.
   */
  public static Tensor from(NDArray value, Node node) {
    if (!GradientMode.isEnabled()) {
      GradientMode.noteUnrecorded(node);
      return constant(value);
    }
    if (!node.requiresGradient()) {
      return constant(value);
    }
    return new Tensor(value, true, new GraphRecord(node), null);
  }

  // ---- what it is

  /** The value. */
  public NDArray value() {
    return value;
  }

  /** Whether a gradient flows through or into this tensor. */
  public boolean requiresGradient() {
    return requiresGradient;
  }

  /** Whether this tensor was not made by a recorded operator. */
  public boolean isLeaf() {
    return record == null;
  }

  /** The sizes of the dims. */
  public Shape shape() {
    return value.shape();
  }

  /** Size of dim {@code index}, negative counting from the innermost. */
  public long dim(int index) {
    return value.dim(index);
  }

  /** Number of dims. */
  public int rank() {
    return value.rank();
  }

  /** The element type. */
  public DType dtype() {
    return value.dtype();
  }

  /** The device. */
  public Device device() {
    return value.device();
  }

  /** The primitives for this tensor's device and dtype. */
  public Kernels kernels() {
    return value.kernels();
  }

  @Override
  public Block block() {
    return value.block();
  }

  /** The value of a one-element tensor; waits for the device. */
  public double item() {
    return value.item();
  }

  // ---- gradients

  /**
   * The gradient that backward passes have accumulated in this leaf, or null before the first.
   *
   * @throws IllegalStateException if this is not a leaf that requires a gradient
   */
  public @Nullable NDArray gradient() {
    requireGradientLeaf("gradient");
    return gradient;
  }

  /**
   * The accumulated gradient, made of zeros if no backward pass reached this leaf: for collectives
   * that every rank owes, whether or not it had a sample.
   */
  public NDArray gradientOrZeros() {
    requireGradientLeaf("gradientOrZeros");
    NDArray present = gradient;
    if (present == null) {
      NDArray place = gradientPlace;
      if (place != null) {
        place.kernels().fill(place, 0);
        gradient = place;
        return place;
      }
      MemoryScope scope = MemoryScope.current();
      present = NDArray.zeros(value.device(), value.dtype(), value.shape());
      if (home != null && home != scope) {
        home.adopt(present);
      }
      gradient = present;
    }
    return present;
  }

  /** Forgets the accumulated gradient and gives its memory back. */
  public void clearGradient() {
    requireGradientLeaf("clearGradient");
    NDArray old = gradient;
    if (old != null) {
      gradient = null;
      if (gradientPlace == null) {
        old.free();
      }
    }
  }

  /**
   * From now on this leaf's gradient is accumulated in {@code place}, for example in a buffer that
   * is sent as it is. The place stays the caller's: {@link #clearGradient} forgets what is in it.
   *
   * @param place contiguous, of this tensor's shape and dtype; lives as long as this tensor
   * @throws IllegalStateException if there is a gradient already, or a place for it
   */
  public void keepGradientIn(NDArray place) {
    requireGradientLeaf("keepGradientIn");
    if (!place.shape().equals(shape()) || place.dtype() != dtype() || !place.isContiguous()) {
      throw new IllegalArgumentException(
          "Tensor.keepGradientIn: got " + place + ", wanted a contiguous array like " + describe());
    }
    if (gradient != null || gradientPlace != null) {
      throw new IllegalStateException(
          "Tensor.keepGradientIn: "
              + describe()
              + (gradientPlace == null
                  ? " has a gradient already; clear it first"
                  : " has a place for its gradient already"));
    }
    gradientPlace = place;
  }

  /** Calls {@code hook} in every backward pass when this tensor's gradient is complete. */
  public void onGradient(GradientHook hook) {
    if (!requiresGradient) {
      throw new IllegalStateException(
          "Tensor.onGradient: " + describe() + " requires no gradient, so none will be ready");
    }
    if (hooks == null) {
      hooks = new ArrayList<>(1);
    }
    hooks.add(hook);
  }

  /** The same value as a constant: nothing flows back through the result. Shares the memory. */
  public Tensor detach() {
    return constant(value);
  }

  /**
   * Accumulates the gradients of this one-element tensor in the leaves it was made from, and
   * releases the graph.
   *
   * @throws IllegalStateException if nothing here requires a gradient or the graph was released
   */
  public void backward() {
    try (MemoryScope scope = MemoryScope.temporaries()) {
      backward(one(), false);
    }
  }

  /** Accumulates the gradients of ⟨this, {@code dy}⟩ in the leaves, and releases the graph. */
  public void backward(NDArray dy) {
    backward(dy, false);
  }

  /**
   * Accumulates the gradients of ⟨this, {@code dy}⟩ in the leaves.
   *
   * @param dy of this tensor's shape and dtype; not changed
   * @param retainGraph keep what the graph saved, so that backward can run again
   */
  public void backward(NDArray dy, boolean retainGraph) {
    BackwardPass.run(this, dy, retainGraph);
  }

  /**
   * {@link #backwardInputs(NDArray, Collection)} of this one-element tensor.
   *
   * @param waitedFor leaves whose gradients are wanted now
   */
  public DeferredGradients backwardInputs(Collection<Tensor> waitedFor) {
    try (MemoryScope scope = MemoryScope.temporaries()) {
      return backwardInputs(one(), waitedFor);
    }
  }

  /**
   * The first half of {@link #backward(NDArray)}: walks the graph and releases it, and leaves to
   * the second half what operators offer to compute later for leaves other than {@code waitedFor}.
   * A leaf that no such product contributes to has its gradient when this returns.
   *
   * @param dy of this tensor's shape and dtype; not to be changed before the second half has run
   * @param waitedFor leaves whose gradients are wanted now, such as rows that another stage sent
   * @return the second half, to be run before the {@link MemoryScope} open now closes
   */
  public DeferredGradients backwardInputs(NDArray dy, Collection<Tensor> waitedFor) {
    return BackwardPass.runInputs(this, dy, waitedFor);
  }

  /** The gradient that a backward pass of a one-element tensor starts from. */
  private NDArray one() {
    if (value.size() != 1) {
      throw new IllegalArgumentException(
          "Tensor.backward: "
              + describe()
              + " has "
              + value.size()
              + " elements; a gradient to"
              + " start from is needed: backward(gradient)");
    }
    return NDArray.full(value.device(), value.dtype(), value.shape(), 1);
  }

  /**
   * Adds a complete contribution to this leaf's gradient. The caller holds one reference on it; if
   * nobody else does, and it does not keep a much larger block alive, the array itself becomes the
   * gradient; where the gradient has a place, the first contribution is copied to it.
   */
  void accumulate(NDArray contribution) {
    NDArray sum = gradient;
    if (sum != null) {
      sum.kernels().addScaled(contribution.contiguous(), 1, sum);
    } else if (home == null) {
      throw new IllegalStateException("accumulate: not a leaf");
    } else if (gradientPlace != null) {
      gradientPlace.kernels().copy(contribution, gradientPlace);
      gradient = gradientPlace;
    } else if (contribution.isContiguous()
        && contribution.block().references() == 1
        && contribution.size() * dtype().byteSize() * 2 > contribution.block().byteSize()) {
      gradient = home.adopt(contribution);
    } else {
      gradient = home.adopt(contribution.copy());
    }
  }

  void fireHooks(NDArray complete) {
    if (hooks != null) {
      for (GradientHook hook : hooks) {
        hook.gradientReady(this, complete);
      }
    }
  }

  private void requireGradientLeaf(String what) {
    if (!requiresGradient || !isLeaf()) {
      throw new IllegalStateException(
          "Tensor."
              + what
              + ": "
              + describe()
              + (requiresGradient
                  ? " is the result of an operator; only leaves keep gradients, use onGradient"
                  : " requires no gradient; make it with Tensor.leaf"));
    }
  }

  String describe() {
    GraphRecord made = record;
    Node node = made == null ? null : made.node();
    return (node == null ? "tensor " : "the result of " + node.operator() + " ")
        + value.dtype()
        + value.shape();
  }

  @Override
  public String toString() {
    return describe() + (requiresGradient ? " with gradient" : "");
  }
}
