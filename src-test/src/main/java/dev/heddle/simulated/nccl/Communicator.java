package dev.heddle.simulated.nccl;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashSet;
import java.util.Set;

/** One rank's {@code ncclComm_t}. Guarded by the simulated GPUs. */
final class Communicator {
  /** What may still be done with it. */
  enum State {
    OPEN,
    FINALIZED,
    ABORTED,
    DESTROYED
  }

  final Clique clique;
  final int rank;
  final int device;
  State state = State.OPEN;

  /** What {@code ncclCommGetAsyncError} answers. */
  int asynchronousError;

  /** Launches, and those of them that have run; not those that were recorded into graphs. */
  long launched;

  long finished;

  /** Collectives that this rank's streams have got to. */
  long collectives;

  /** How often it was split. */
  int splits;

  /** Where its launches are. */
  final Set<MemorySegment> streams = new LinkedHashSet<>();

  /** Whether launches of it were recorded into a graph, and so may run on any stream. */
  boolean captured;

  Communicator(Clique clique, int rank, int device) {
    this.clique = clique;
    this.rank = rank;
    this.device = device;
  }

  @Override
  public String toString() {
    return "rank " + rank + " (GPU " + device + ") of " + clique;
  }
}
