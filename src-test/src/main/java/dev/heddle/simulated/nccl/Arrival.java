package dev.heddle.simulated.nccl;

import dev.heddle.simulated.driver.SimulatedGpus;
import java.lang.foreign.MemorySegment;

/** A call whose stream has got to it: its rank's part, with that GPU's view of memory. */
final class Arrival {
  final Communicator communicator;
  final Call call;
  private final SimulatedGpus.Memory memory;

  /** Which of its rank's collectives it is. */
  long number;

  boolean done;

  /** Why it can never be done; empty while it can. */
  String fault = "";

  Arrival(Communicator communicator, Call call, SimulatedGpus.Memory memory) {
    this.communicator = communicator;
    this.call = call;
    this.memory = memory;
  }

  MemorySegment read(long offset, long bytes) {
    return memory.at(call.from() + offset, bytes, this + ", what it reads");
  }

  MemorySegment written(long offset, long bytes) {
    return memory.at(call.to() + offset, bytes, this + ", what it writes");
  }

  @Override
  public String toString() {
    return call + " by " + communicator;
  }
}
