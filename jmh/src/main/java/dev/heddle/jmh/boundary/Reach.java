package dev.heddle.jmh.boundary;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.staged.StagedCommunicator;
import java.util.function.Consumer;

/** How the ranks, threads of this JVM, reach each other's rows. */
public enum Reach {
  /** They copy from each other's arrays. */
  THREADS,
  /** Through main memory of the communicator's own, as ranks on devices out of reach have to. */
  STAGED;

  /** How tables call it. */
  public String label() {
    return this == THREADS ? "threads" : "staged";
  }

  /** Hands {@code body} a communicator of the ranks of {@code world} that has this reach. */
  void with(Communicator world, Consumer<Communicator> body) {
    if (this == THREADS) {
      body.accept(world);
      return;
    }
    try (StagedCommunicator staged = StagedCommunicator.over(world, device -> true)) {
      body.accept(staged);
    }
  }
}
