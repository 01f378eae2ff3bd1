package dev.heddle.runtime.memory;

import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A piece of device memory that a {@link MemoryPool} hands out again and again. While it is in use
 * it counts references: one for the {@link MemoryScope} that owns it, one for each {@link
 * #retain()}. At zero it goes back to the pool and its {@linkplain #generation() generation} moves
 * on, so that a stale user can be told apart from the new one.
 *
 * <p>Not thread-safe: a block belongs to the rank thread that allocated it. Other threads may read
 * and write its bytes while that thread keeps it alive.
 */
public final class Block {
  final MemoryPool pool;
  final int sizeClass;
  private final MemorySegment segment;
  private final long byteSize;

  private int references;
  private int generation;
  private int version;

  /** The class of the size that was asked for; the pool may have lent a larger block for it. */
  int usedClass;

  @Nullable MemoryScope owner;
  int ownerIndex;
  @Nullable Throwable birth;

  Block(MemoryPool pool, int sizeClass, MemorySegment segment, long byteSize) {
    this.pool = pool;
    this.sizeClass = sizeClass;
    this.segment = segment;
    this.byteSize = byteSize;
  }

  /** The memory; on a device that the host cannot address, only its address means something. */
  public MemorySegment segment() {
    return segment;
  }

  /** Bytes that can be used, at least what was asked for. */
  public long byteSize() {
    return byteSize;
  }

  /**
   * Counts how often this memory has been given back: a handle remembers the value it was born
   * with.
   */
  public int generation() {
    return generation;
  }

  /** Counts writes that change existing values in place; see {@link #touch()}. */
  public int version() {
    return version;
  }

  /** Records that values were changed in place, so that a graph that saved them can tell. */
  public void touch() {
    version++;
  }

  /** References held: the owning scope's and retained ones. */
  public int references() {
    return references;
  }

  /** Keeps the memory alive until a matching {@link #release()}, whatever its scope does. */
  public void retain() {
    if (references == 0) {
      throw new IllegalStateException("Block: retain after the memory was given back to its pool");
    }
    references++;
  }

  /** Gives back one reference; the last one returns the memory to the pool. */
  public void release() {
    if (references == 0) {
      throw new IllegalStateException("Block: released more often than retained");
    }
    if (references == 1 && owner != null) {
      throw new IllegalStateException(
          "Block: released more often than retained; the last reference is that of the MemoryScope"
              + " that owns it, which its close() or NDArray.free() ends");
    }
    if (--references == 0) {
      generation++;
      pool.giveBack(this);
    }
  }

  /** Ends the owning scope's reference before the scope closes; retained references stay. */
  public void disown() {
    MemoryScope scope = owner;
    if (scope != null) {
      scope.forget(this);
      owner = null;
      release();
    }
  }

  void start() {
    references = 1;
    version = 0;
  }
}
