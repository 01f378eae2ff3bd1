package dev.heddle.runtime.memory;

/**
 * Something other than a block that must be let go when the {@link MemoryScope} it is attached to
 * closes.
 */
public interface Resource {
  /** Lets go of what is held. Called once, when the scope closes, unless detached before. */
  void releaseResource();

  /** Where the scope keeps this resource; written and read only by {@link MemoryScope}. */
  int scopeIndex();

  /** Sets {@link #scopeIndex()}; called only by {@link MemoryScope}. */
  void scopeIndex(int index);
}
