package dev.heddle.runtime.memory;

/** A handle to memory that a {@link MemoryScope} can own and hand on. */
public interface Owned {
  /** The memory behind this handle. */
  Block block();
}
