package dev.heddle.simulated.memory;

/**
 * What a program did on a simulated GPU that a real one would answer with an error, with wrong
 * results or with nothing at all for ever. The message says what, where, and what was wanted.
 */
public final class SimulatedFault extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /** What kind of mistake it is. */
  public enum Kind {
    /** An address outside every live allocation, or beyond the end of one; freed memory too. */
    ILLEGAL_ADDRESS,
    /** An address that the size of the access does not divide. */
    MISALIGNED_ADDRESS,
    /** A device has less free memory than was asked for. */
    OUT_OF_MEMORY,
    /** A free of something that is no live allocation's start. */
    INVALID_FREE,
    /** A register, shared or local bytes that were read before anything was written there. */
    UNINITIALISED_READ,
    /** Two threads at the same bytes, one of them writing, with nothing that orders them. */
    RACE,
    /** A block's barrier that not all of its threads reach together. */
    BARRIER_DIVERGENCE,
    /** An instruction of a warp that not exactly the threads of its member mask execute. */
    WARP_DIVERGENCE,
    /** Shared bytes that were touched while {@code cp.async} may still be writing them. */
    ASYNC_COPY_NOT_AWAITED,
    /** Threads that wait for each other, or run on without an end in sight. */
    DEADLOCK,
    /** The kernel executed {@code trap}. */
    TRAP,
    /** A launch that no GPU would accept: sizes, parameters, shared memory. */
    INVALID_LAUNCH,
    /** An operand with a value that the instruction is not defined for. */
    INVALID_OPERAND
  }

  private final Kind kind;

  /** A fault of this kind; {@code message} tells all of it. */
  public SimulatedFault(Kind kind, String message) {
    super(message);
    this.kind = kind;
  }

  /** What kind of mistake it is. */
  public Kind kind() {
    return kind;
  }
}
