package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.runtime.memory.Resource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * The second half of a backward pass. A stage of a pipeline is waited for by the stages before it,
 * but only for the gradients of the activations that they sent; nobody waits for those of its
 * parameters until the step ends. {@link Tensor#backwardInputs} computes the former and returns one
 * of these, which holds what is left: the products that operators offered {@linkplain
 * Gradients#later to compute later} (Qi et al., "Zero Bubble Pipeline Parallelism", 2024).
 *
 * <p>Both halves together leave the bits of {@link Tensor#backward(NDArray)}: contributions to a
 * leaf are added up in the order of the ordinary walk, and a leaf that a half not yet run owes
 * something waits for it. So over several microbatches the sums are the same as long as the second
 * halves run in the order in which the backward passes would have.
 *
 * <p>What it keeps alive is exactly what the products read: for a linear layer the input and the
 * gradient of its output. It belongs to the {@link MemoryScope} of the first half, on whose thread
 * it must be {@linkplain #run() run} before that closes; a closing scope refuses to lose gradients
 * silently.
 */
public final class DeferredGradients {
  private static final NDArray[] NONE = {};

  private final MemoryScope scope = MemoryScope.currentLasting();
  private final Held held = new Held();
  private final Queue<Entry> entries = new ArrayDeque<>();
  private final List<Owed> leaves = new ArrayList<>();
  private final Set<Tensor> waitedFor;
  private boolean finished;

  /** A leaf whose gradient is completed in this half, and the sum of what has been added up. */
  static final class Owed {
    private final Tensor leaf;
    private @Nullable NDArray sum;
    private boolean settled;

    private Owed(Tensor leaf) {
      this.leaf = leaf;
      leaf.owing++;
    }

    void settle() {
      if (!settled) {
        settled = true;
        leaf.owing--;
        if (sum != null) {
          sum.release();
          sum = null;
        }
      }
    }
  }

  private sealed interface Entry {}

  /** Something to add to what a leaf is owed; the arrays are retained. */
  private record Contribution(
      Owed owed, Supplier<NDArray> gradient, NDArray[] reads, int[] versions, Node node, int input)
      implements Entry {}

  /** All contributions to the leaf stand before this. */
  private record Completion(Owed owed) implements Entry {}

  DeferredGradients(Collection<Tensor> waitedFor) {
    for (Tensor input : waitedFor) {
      if (!input.requiresGradient() || !input.isLeaf()) {
        throw new IllegalArgumentException(
            "Tensor.backwardInputs: "
                + input.describe()
                + " is no leaf that requires a gradient; name what arrived from outside, made with"
                + " Tensor.leaf");
      }
    }
    this.waitedFor = new HashSet<>(waitedFor);
    scope.attach(held);
  }

  // ---- the first half records

  /**
   * Whether a contribution to {@code input} belongs to this half: one that can be computed later if
   * the input is a leaf that nobody waits for, any if an earlier one to the same leaf does.
   */
  boolean takes(Tensor input, boolean canWait) {
    return input.isLeaf()
        && !waitedFor.contains(input)
        && (canWait || input.owed != null || input.owing > 0);
  }

  /** Takes what {@code gradients} has for its input {@code index}, the tensor {@code leaf}. */
  void add(Tensor leaf, Node node, int index, Gradients gradients) {
    Gradients.Later later = gradients.later(index);
    if (later != null) {
      add(owed(leaf), later.gradient(), later.reads(), node, index);
      return;
    }
    NDArray value = gradients.get(index);
    if (value != null) {
      add(owed(leaf), () -> value, new NDArray[] {value}, node, index);
    }
  }

  private Owed owed(Tensor leaf) {
    Owed owed = leaf.owed;
    if (owed == null) {
      owed = new Owed(leaf);
      leaf.owed = owed;
      leaves.add(owed);
      // What came before the first that waits is the beginning of the sum.
      owed.sum = leaf.incoming;
      leaf.incoming = null;
    }
    return owed;
  }

  private void add(
      Owed owed, Supplier<NDArray> gradient, @Nullable NDArray[] reads, Node node, int input) {
    int count = 0;
    NDArray[] present = reads.length == 0 ? NONE : new NDArray[reads.length];
    for (NDArray array : reads) {
      if (array != null) {
        present[count++] = array;
      }
    }
    present = count == reads.length ? present : Arrays.copyOf(present, count);
    int[] versions = new int[count];
    for (int i = 0; i < count; i++) {
      present[i].retain();
      versions[i] = present[i].block().version();
    }
    entries.add(new Contribution(owed, gradient, present, versions, node, input));
  }

  /** Notes that the walk has seen every use of a leaf. */
  void complete(Owed owed) {
    entries.add(new Completion(owed));
  }

  /** Ends the first half. */
  void recorded() {
    waitedFor.clear();
  }

  // ---- the second half

  /**
   * Computes what was left, accumulates it in the leaves and calls their hooks, in the order of the
   * ordinary backward pass; gives back what was kept alive for it as it goes.
   *
   * @throws IllegalStateException if it has run, if its scope has closed, or if an array that it
   *     reads was changed in place
   */
  public void run() {
    if (finished) {
      throw new IllegalStateException(
          held.scopeClosed
              ? "DeferredGradients.run: the scope of the first half has closed, and what was to be"
                  + " read went with it; run the second half before"
              : "DeferredGradients.run: it has run already; the gradients would be added twice");
    }
    finished = true;
    scope.detach(held);
    try (GradientMode off = GradientMode.noGrad();
        MemoryScope scratch = MemoryScope.open()) {
      for (Entry entry = entries.peek(); entry != null; entry = entries.peek()) {
        switch (entry) {
          case Contribution contribution -> contribute(contribution);
          case Completion completion -> complete(completion.owed, scratch);
        }
        entries.remove();
        letGo(entry);
        scratch.clear();
      }
    } finally {
      drop();
    }
  }

  private static void contribute(Contribution contribution) {
    Node node = contribution.node;
    for (int i = 0; i < contribution.reads.length; i++) {
      GraphRecord.checkVersion(node, contribution.reads[i], contribution.versions[i]);
    }
    NDArray gradient = contribution.gradient.get();
    Owed owed = contribution.owed;
    BackwardPass.checkGradient(node, contribution.input, owed.leaf, gradient);
    owed.sum = BackwardPass.sum(owed.sum, gradient);
  }

  private static void complete(Owed owed, MemoryScope scratch) {
    NDArray sum = owed.sum;
    if (sum != null) {
      BackwardPass.stepLeaf(owed.leaf, sum, scratch);
    }
  }

  /** Releases what an entry that was taken off the queue held. */
  private static void letGo(Entry entry) {
    switch (entry) {
      case Contribution contribution -> {
        for (NDArray array : contribution.reads) {
          array.release();
        }
      }
      case Completion completion -> completion.owed.settle();
    }
  }

  /** Lets go of everything, also after a failure half-way. */
  private void drop() {
    entries.forEach(DeferredGradients::letGo);
    entries.clear();
    leaves.forEach(Owed::settle);
    leaves.clear();
  }

  /** Ends a first half that failed: what it recorded will never run. */
  void abandon() {
    finished = true;
    scope.detach(held);
    drop();
  }

  /** What the scope of the first half knows of this. */
  private final class Held implements Resource {
    private int scopeIndex;
    private boolean scopeClosed;

    @Override
    public void releaseResource() {
      int lost = leaves.size();
      finished = true;
      scopeClosed = true;
      drop();
      if (lost > 0) {
        throw new IllegalStateException(
            "DeferredGradients: the MemoryScope of a backward pass's first half closed before the"
                + " second half had run; leaves that lost their gradients: "
                + lost
                + "; call run() first");
      }
    }

    @Override
    public int scopeIndex() {
      return scopeIndex;
    }

    @Override
    public void scopeIndex(int index) {
      scopeIndex = index;
    }
  }
}
