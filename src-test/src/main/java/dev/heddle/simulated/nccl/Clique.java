package dev.heddle.simulated.nccl;

import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * The ranks of one communicator, as one of them sees them. Ranks of one process share a {@link
 * LocalClique}; ranks of several processes meet at a {@link Hub}, each through a {@link
 * RemoteClique} of its own. Called while the simulated GPUs are held.
 */
abstract class Clique {
  /** Who splits off with this color gets no communicator. */
  static final int NO_COLOR = -1;

  final String name;
  final int size;

  Clique(String name, int size) {
    this.name = name;
    this.size = size;
  }

  /**
   * Becomes a member; returns when all have come.
   *
   * @throws NcclError if the rank or the GPU is taken, or somebody does not come
   */
  abstract Communicator join(int rank, int device);

  /** Splits, with all members; null for a member without color. */
  abstract @Nullable Communicator split(
      Communicator communicator, int color, int key, String partName);

  /**
   * Notes that a rank needs the connection of a message.
   *
   * @return whether the other rank has come to the same need
   */
  abstract BooleanSupplier connect(Communicator communicator, Call call);

  /** A rank's stream has got to a call. Does it at once if it is the last that was missing. */
  abstract void arrive(Arrival arrival);

  /** Gets the ranks that the call waits for to run their streams, as far as they go. */
  abstract void drivePartners(Arrival arrival);

  /** A rank has queued a launch that others may wait for. */
  void launched(Communicator communicator) {}

  /** Forgets what an aborted rank has come to: nobody touches its memory any more. */
  abstract void leave(Communicator gone);

  @Override
  public String toString() {
    return name;
  }
}
