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
 * <p>Both halves together leave the bits of {@link Tensor#backward(NDArray)}: the contributions to
 * a leaf are added up in the order of the ordinary walk. All leaves but those waited for get their
 * gradients in the second half, also where nothing was put off, such as a norm's: so their hooks
 * fire there, and over several microbatches the sums are the same as long as the second halves run
 * in the order in which the backward passes would have.
 *
 * <p>What it keeps alive is exactly what the products read, for a linear layer the input and the
 * gradient of its output, and the gradients that are there already. It belongs to the {@link
 * MemoryScope} of the first half, on whose thread it must be {@linkplain #run() run} before that
 * closes; a closing scope refuses to lose gradients silently.
 */
public final class DeferredGradients {
  private static final NDArray[] NONE = {};

  private final MemoryScope scope = MemoryScope.currentLasting();
  private final Held held = new Held();
  private final Queue<Entry> entries = new ArrayDeque<>();
  private final List<Owed> leaves = new ArrayList<>();
  private final Set<Tensor> waitedFor;
  private boolean finished;

  /** A leaf, and the sum of what it has got so far. */
  static final class Owed {
    private final Tensor leaf;
    private @Nullable NDArray sum;

    /** Whether a product that has not been computed comes before whatever is added from now on. */
    private boolean waits;

    private Owed(Tensor leaf) {
      this.leaf = leaf;
    }

    void letGo() {
      if (sum != null) {
        sum.release();
        sum = null;
      }
    }
  }

  private sealed interface Entry {}

  /** Something to add to what a leaf is owed; the arrays are retained. */
  private record Contribution(
      Owed owed, Supplier<NDArray> gradient, NDArray[] reads, int[] versions, Node node, int input)
      implements Entry {}

  /** Something to add to what two leaves are owed, computed at once. */
  private record Pair(
      Owed first, Owed second, Gradients.Together both, NDArray[] reads, int[] versions, Node node)
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

  /** Whether the gradient of {@code tensor} belongs to this half: that of a leaf, unless named. */
  boolean takes(Tensor tensor) {
    return tensor.isLeaf() && !waitedFor.contains(tensor);
  }

  /** Takes what {@code gradients} has for its input {@code index}, the tensor {@code leaf}. */
  void add(Tensor leaf, Node node, int index, Gradients gradients) {
    Gradients.Later later = gradients.later(index);
    if (later != null) {
      Owed owed = owed(leaf);
      owed.waits = true;
      add(owed, later.gradient(), later.reads(), node, index);
      return;
    }
    NDArray value = gradients.get(index);
    if (value == null) {
      return;
    }
    Owed owed = owed(leaf);
    if (owed.waits) {
      add(owed, () -> value, new NDArray[] {value}, node, index);
    } else {
      BackwardPass.checkGradient(node, index, leaf, value);
      owed.sum = BackwardPass.sum(owed.sum, value);
    }
  }

  private Owed owed(Tensor leaf) {
    Owed owed = leaf.owed;
    if (owed == null) {
      owed = new Owed(leaf);
      leaf.owed = owed;
      leaves.add(owed);
    }
    return owed;
  }

  /** Takes how two leaves' gradients are computed at once. */
  void add(Tensor first, Tensor second, Node node, Gradients.Together both) {
    Owed one = owed(first);
    Owed other = owed(second);
    one.waits = true;
    other.waits = true;
    NDArray[] reads = retained(both.reads());
    entries.add(new Pair(one, other, both, reads, versions(reads), node));
  }

  private void add(
      Owed owed, Supplier<NDArray> gradient, @Nullable NDArray[] reads, Node node, int input) {
    NDArray[] present = retained(reads);
    entries.add(new Contribution(owed, gradient, present, versions(present), node, input));
  }

  /** Those that are there, each retained. */
  private static NDArray[] retained(@Nullable NDArray[] reads) {
    int count = 0;
    NDArray[] present = reads.length == 0 ? NONE : new NDArray[reads.length];
    for (NDArray array : reads) {
      if (array != null) {
        present[count++] = array.retain();
      }
    }
    return count == reads.length ? present : Arrays.copyOf(present, count);
  }

  private static int[] versions(NDArray[] arrays) {
    int[] versions = new int[arrays.length];
    for (int i = 0; i < arrays.length; i++) {
      versions[i] = arrays[i].block().version();
    }
    return versions;
  }

  /** Notes that the walk has seen every use of a leaf; takes what it started from, if a leaf. */
  void complete(Tensor leaf) {
    NDArray root = leaf.incoming;
    if (root != null) {
      owed(leaf).sum = root;
      leaf.incoming = null;
    }
    if (leaf.owed != null) {
      entries.add(new Completion(leaf.owed));
    }
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
          case Pair pair -> contribute(pair);
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
    checkVersions(contribution.node, contribution.reads, contribution.versions);
    NDArray gradient = contribution.gradient.get();
    add(contribution.owed, contribution.node, contribution.input, gradient);
  }

  private static void contribute(Pair pair) {
    checkVersions(pair.node, pair.reads, pair.versions);
    NDArray[] gradients = pair.both.gradients().get();
    add(pair.first, pair.node, pair.both.first(), gradients[0]);
    add(pair.second, pair.node, pair.both.second(), gradients[1]);
  }

  private static void checkVersions(Node node, NDArray[] reads, int[] versions) {
    for (int i = 0; i < reads.length; i++) {
      GraphRecord.checkVersion(node, reads[i], versions[i]);
    }
  }

  private static void add(Owed owed, Node node, int input, NDArray gradient) {
    BackwardPass.checkGradient(node, input, owed.leaf, gradient);
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
      case Contribution contribution -> release(contribution.reads);
      case Pair pair -> release(pair.reads);
      case Completion completion -> completion.owed.letGo();
    }
  }

  private static void release(NDArray[] arrays) {
    for (NDArray array : arrays) {
      array.release();
    }
  }

  /** Lets go of everything, also after a failure half-way. */
  private void drop() {
    entries.forEach(DeferredGradients::letGo);
    entries.clear();
    leaves.forEach(Owed::letGo);
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
