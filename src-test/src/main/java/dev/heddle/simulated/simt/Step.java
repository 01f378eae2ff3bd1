package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxInstruction;

/**
 * A decoded instruction. Steps belong to a kernel, not to a launch: what changes while one runs is
 * in the {@link Warp}.
 */
abstract class Step {
  /** What the warp has to do beside calling {@link #run}. */
  enum Kind {
    /** Nothing. */
    PLAIN,
    /** {@link Control.Branch}. */
    BRANCH,
    /** {@link Control.IndexedBranch}. */
    INDEXED_BRANCH,
    /** The threads are done. */
    EXIT,
    /** {@link Control.Barrier}. */
    BARRIER,
    /** {@link WarpStep}: wait until all threads of the member mask are here. */
    WARP
  }

  static final int LANES = 32;
  static final int ALL = -1;
  static final int NO_GUARD = -1;

  private static final int[] NONE = {};

  /** The instruction it was decoded from; set right after construction. */
  @SuppressWarnings("NullAway.Init")
  PtxInstruction source;

  Kind kind = Kind.PLAIN;
  int index;

  /** Predicate register, or {@link #NO_GUARD}. */
  int guard = NO_GUARD;

  boolean guardNegated;

  /** The register that is the guard, if its having been written has to be checked, or -1. */
  int guardChecked = -1;

  /** Registers whose having been written has to be checked. */
  int[] checkedReads = NONE;

  /** Registers that are read with a check somewhere, and written here. */
  int[] trackedWrites = NONE;

  /** Executes it for the lanes in {@code mask}, at least one. */
  abstract void run(Warp warp, int mask);
}
