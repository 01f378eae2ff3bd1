package dev.heddle.jmh.boundary;

import dev.heddle.runtime.cuda.CudaDriver;
import dev.heddle.runtime.cuda.PageLockedMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Where the caller of a boundary has its rows, and wants those that arrive. Arrays always lie in
 * their device's pool, which alone ranks reach of each other; rows that lie elsewhere are copied in
 * before the exchange, and out behind it.
 */
public enum HostMemory {
  /** In the pool: nothing is copied but what the boundary moves. */
  POOLED,
  /** In arrays of the Java heap. */
  HEAP,
  /** In an arena that only the rank's thread may use. */
  CONFINED,
  /** In page-locked memory of the CUDA driver, from which GPUs copy. */
  PINNED;

  private static final long ALIGNMENT = 64;

  /** How tables call it. */
  public String label() {
    return switch (this) {
      case POOLED -> "pooled";
      case HEAP -> "heap";
      case CONFINED -> "confined";
      case PINNED -> "pinned";
    };
  }

  /** Whether this machine has it: page-locked memory needs a CUDA driver and a GPU. */
  public boolean isAvailable() {
    return this != PINNED || (CudaDriver.isAvailable() && CudaDriver.deviceCount() > 0);
  }

  /**
   * New memory of this kind with zeros, for the calling thread, until {@code life} is closed.
   *
   * @throws IllegalStateException for {@link #POOLED}, where the array itself is the caller's
   */
  MemorySegment allocate(long bytes, Arena life) {
    return switch (this) {
      case POOLED -> throw new IllegalStateException("HostMemory: pooled rows are arrays");
      case HEAP -> MemorySegment.ofArray(new float[Math.toIntExact(bytes / Float.BYTES)]);
      case CONFINED -> life.allocate(bytes, ALIGNMENT);
      case PINNED -> PageLockedMemory.allocate(0, bytes, life);
    };
  }
}
