package dev.heddle.simulated.nccl;

import dev.heddle.simulated.driver.SimulatedGpus;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** A call whose stream has got to it: its rank's part, with that GPU's view of memory. */
final class Arrival {
  final Communicator communicator;
  final Call call;
  private final SimulatedGpus.Memory memory;

  /** Which of its rank's collectives it is. */
  long number;

  boolean done;

  /** What another process's ranks left to be written here, until it is. */
  byte @Nullable [] delivery;

  /** Why it can never be done; empty while it can. */
  String fault = "";

  Arrival(Communicator communicator, Call call, SimulatedGpus.Memory memory) {
    this.communicator = communicator;
    this.call = call;
    this.memory = memory;
  }

  /** Writes what was delivered: part of the stream's work, and in its order. */
  void takeDelivery() {
    byte[] bytes = delivery;
    if (bytes != null) {
      delivery = null;
      MemorySegment.copy(
          MemorySegment.ofArray(bytes), 0, written(0, bytes.length), 0, bytes.length);
    }
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
