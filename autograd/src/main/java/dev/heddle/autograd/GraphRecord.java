package dev.heddle.autograd;

import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.runtime.memory.Resource;
import org.jspecify.annotations.Nullable;

/** A node together with the references it holds on what it saved. */
final class GraphRecord implements Resource {
  private static final int[] NONE = {};
  private static final Tensor[] NO_INPUTS = {};

  private final MemoryScope scope;
  private Tensor[] inputs;
  private final @Nullable NDArray[] saved;
  private final int[] versions;
  private @Nullable Node node;
  private int scopeIndex;
  private boolean scopeClosed;

  GraphRecord(Node node) {
    this.scope = MemoryScope.currentLasting();
    this.node = node;
    this.inputs = node.inputs();
    this.saved = node.saved();
    this.versions = saved.length == 0 ? NONE : new int[saved.length];
    for (int i = 0; i < saved.length; i++) {
      NDArray array = saved[i];
      if (array != null) {
        array.retain();
        versions[i] = array.block().version();
      }
    }
    scope.attach(this);
  }

  /** The node, if what it saved is still there and unchanged. */
  Node check(Tensor tensor) {
    Node current = node;
    if (current == null) {
      throw new IllegalStateException(
          scopeClosed
              ? "backward: the graph behind "
                  + tensor.describe()
                  + " went with its MemoryScope;"
                  + " call backward() before the scope of the forward closes"
              : "backward: the graph behind "
                  + tensor.describe()
                  + " was released by an earlier"
                  + " backward(); pass retainGraph = true there if it is to be walked twice");
    }
    for (int i = 0; i < saved.length; i++) {
      NDArray array = saved[i];
      if (array != null) {
        checkVersion(current, array, versions[i]);
      }
    }
    return current;
  }

  /** That an array which a node's backward will read is as it was when {@code saved}. */
  static void checkVersion(Node node, NDArray array, int saved) {
    int version = array.block().version();
    if (version != saved) {
      throw new IllegalStateException(
          "backward of "
              + node.operator()
              + ": the value "
              + array
              + " that it saved was"
              + " changed in place (version "
              + version
              + ", saved at "
              + saved
              + "); change a copy, or run backward first");
    }
  }

  /** The node's inputs, asked for once; none after the release. */
  Tensor[] inputs() {
    return inputs;
  }

  /** The node, or null once released. */
  @Nullable Node node() {
    return node;
  }

  /** Lets go of what was saved, after the backward used it. */
  void release() {
    if (node != null) {
      scope.detach(this);
      drop();
    }
  }

  @Override
  public void releaseResource() {
    scopeClosed = true;
    drop();
  }

  private void drop() {
    node = null;
    inputs = NO_INPUTS;
    for (int i = 0; i < saved.length; i++) {
      NDArray array = saved[i];
      if (array != null) {
        array.release();
        saved[i] = null;
      }
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
