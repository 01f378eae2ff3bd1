package dev.heddle.runtime.memory;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Owns what is allocated on this thread while it is the innermost open scope, and gives it back on
 * close. Scopes nest as blocks do:
 *
 * <pre>{@code
 * try (MemoryScope step = MemoryScope.open()) {
 *   NDArray y = ...;        // owned by step
 *   result = step.keep(y);  // now owned by the scope around step
 * }
 * }</pre>
 *
 * <p>Two kinds: {@link #open()} owns everything made inside, computation graphs included; {@link
 * #temporaries()} is for the inside of a layer: on close it gives back what nothing else retains,
 * while a graph recorded inside (and what that graph saved) lives on in the scope around it.
 *
 * <p>A scope belongs to the thread that opened it and must be closed by it, innermost first.
 */
public final class MemoryScope implements AutoCloseable {
  // Each thread's innermost scope, in the middle of an array of the thread's own: so it has its
  // cache line to itself. It changes several times for each layer, and as the value of a
  // ThreadLocal it would lie beside other threads', whose every scope would take the line away.
  private static final int MIDDLE = 32;
  private static final ThreadLocal<@Nullable MemoryScope[]> CURRENT =
      ThreadLocal.withInitial(() -> new MemoryScope[2 * MIDDLE]);

  private static final Resource[] NO_RESOURCES = {};

  private final @Nullable MemoryScope parent;
  private final boolean temporary;
  private final Thread thread = Thread.currentThread();
  private @Nullable Block[] blocks = new Block[16];
  private int blockCount;
  private @Nullable Resource[] resources = NO_RESOURCES;
  private int resourceCount;
  private boolean closed;

  private MemoryScope(@Nullable MemoryScope parent, boolean temporary) {
    this.parent = parent;
    this.temporary = temporary;
  }

  /** Opens a scope that owns everything made inside it. */
  public static MemoryScope open() {
    return push(false);
  }

  /** Opens a scope for the intermediates of a layer; graphs recorded inside outlive it. */
  public static MemoryScope temporaries() {
    return push(true);
  }

  private static MemoryScope push(boolean temporary) {
    @Nullable MemoryScope[] current = CURRENT.get();
    MemoryScope scope = new MemoryScope(current[MIDDLE], temporary);
    current[MIDDLE] = scope;
    return scope;
  }

  /**
   * The innermost open scope of this thread.
   *
   * @throws IllegalStateException if none is open, with what to write
   */
  public static MemoryScope current() {
    MemoryScope scope = CURRENT.get()[MIDDLE];
    if (scope == null) {
      throw new IllegalStateException(
          "no MemoryScope is open on thread "
              + Thread.currentThread().getName()
              + ": device memory needs an owner; write"
              + " try (MemoryScope scope = MemoryScope.open()) { ... } around the work");
    }
    return scope;
  }

  /** The innermost open scope that is not for temporaries: where graphs live. */
  public static MemoryScope currentLasting() {
    MemoryScope scope = current();
    while (scope.temporary && scope.parent != null) {
      scope = scope.parent;
    }
    return scope;
  }

  /**
   * Hands {@code value} to the scope around this one, so that it survives this scope's close. What
   * this scope does not own is left where it is.
   *
   * @return {@code value}
   */
  public <T extends Owned> T keep(T value) {
    checkUsable();
    if (parent == null) {
      throw new IllegalStateException(
          "MemoryScope.keep: there is no scope around this one to hand the value to");
    }
    Block block = value.block();
    if (block.owner == this) {
      forget(block);
      parent.own(block);
    }
    return value;
  }

  /**
   * Makes this scope the owner of {@code value}, whichever scope of this thread owned it before.
   *
   * @return {@code value}
   */
  public <T extends Owned> T adopt(T value) {
    checkUsable();
    Block block = value.block();
    MemoryScope before = block.owner;
    if (before == null) {
      block.retain();
    } else {
      before.checkUsable();
      before.forget(block);
    }
    own(block);
    return value;
  }

  /** Whether {@code value} belongs to this scope, and not to one around it or to none. */
  public boolean owns(Owned value) {
    return value.block().owner == this;
  }

  /** Calls {@link Resource#releaseResource()} when this scope closes. */
  public void attach(Resource resource) {
    checkUsable();
    if (resourceCount == resources.length) {
      resources = Arrays.copyOf(resources, Math.max(16, 2 * resourceCount));
    }
    resource.scopeIndex(resourceCount);
    resources[resourceCount++] = resource;
  }

  /** Undoes {@link #attach}. */
  public void detach(Resource resource) {
    int index = resource.scopeIndex();
    Resource last = resources[--resourceCount];
    resources[resourceCount] = null;
    if (last != null && last != resource) {
      resources[index] = last;
      last.scopeIndex(index);
    }
  }

  /** Whether {@link #close()} was called. */
  public boolean isClosed() {
    return closed;
  }

  /**
   * Gives back everything that this scope owns now, and stays open. A resource that fails to let go
   * does not keep the others: its exception is thrown at the end.
   */
  public void clear() {
    checkUsable();
    RuntimeException failure = null;
    while (resourceCount > 0) {
      Resource resource = resources[--resourceCount];
      resources[resourceCount] = null;
      if (resource != null) {
        try {
          resource.releaseResource();
        } catch (RuntimeException thrown) {
          if (failure == null) {
            failure = thrown;
          } else {
            failure.addSuppressed(thrown);
          }
        }
      }
    }
    while (blockCount > 0) {
      Block block = blocks[--blockCount];
      blocks[blockCount] = null;
      if (block != null) {
        block.owner = null;
        block.release();
      }
    }
    if (failure != null) {
      throw failure;
    }
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    checkUsable();
    @Nullable MemoryScope[] current = CURRENT.get();
    if (current[MIDDLE] != this) {
      throw new IllegalStateException(
          "MemoryScope.close: a scope opened inside this one is still open; close innermost first");
    }
    try {
      clear();
    } finally {
      // Even if a resource failed: what is allocated next must not go to a scope that is ending.
      closed = true;
      current[MIDDLE] = parent;
    }
  }

  void own(Block block) {
    if (blockCount == blocks.length) {
      blocks = Arrays.copyOf(blocks, 2 * blockCount);
    }
    block.owner = this;
    block.ownerIndex = blockCount;
    blocks[blockCount++] = block;
  }

  void forget(Block block) {
    Block last = blocks[--blockCount];
    blocks[blockCount] = null;
    if (last != null && last != block) {
      blocks[block.ownerIndex] = last;
      last.ownerIndex = block.ownerIndex;
    }
  }

  private void checkUsable() {
    if (closed) {
      throw new IllegalStateException("MemoryScope: used after close");
    }
    if (thread != Thread.currentThread()) {
      throw new IllegalStateException(
          "MemoryScope: opened by thread "
              + thread.getName()
              + ", used by "
              + Thread.currentThread().getName());
    }
  }
}
