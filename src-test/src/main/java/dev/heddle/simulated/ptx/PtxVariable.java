package dev.heddle.simulated.ptx;

/**
 * A named piece of memory.
 *
 * @param space where it is
 * @param type of one element
 * @param alignment in bytes
 * @param byteSize of the whole; 0 for extern shared memory, whose size the launch says
 * @param offset in bytes from the start of the module's (global, const), block's (shared) or
 *     thread's (local) memory or of the kernel's parameters; -1 before it was placed
 * @param initial the bytes it starts with; none if it is not initialised
 */
public record PtxVariable(
    String name,
    Space space,
    PtxType type,
    int alignment,
    long byteSize,
    long offset,
    @SuppressWarnings("ArrayRecordComponent") byte[] initial) {

  /** Where variables are. */
  public enum Space {
    /** Of the module, for all kernels. */
    GLOBAL,
    /** Of the module, not to be written by kernels. */
    CONST,
    /** Of a block. */
    SHARED,
    /** Of a thread. */
    LOCAL,
    /** What a launch hands to the kernel. */
    PARAM
  }

  PtxVariable placedAt(long where) {
    return new PtxVariable(name, space, type, alignment, byteSize, where, initial);
  }

  PtxVariable as(Space other) {
    return new PtxVariable(name, other, type, alignment, byteSize, offset, initial);
  }

  /** Two variables are the same only if they are one object. */
  @Override
  public boolean equals(Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}
