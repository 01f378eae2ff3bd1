package dev.heddle.simulated.driver;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.simulated.memory.SimulatedFault;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A primary context. A fault of work that runs in it is sticky: from then on every call answers
 * with the fault's status, and what was queued never runs.
 */
final class SimulatedContext {
  final SimulatedGpu gpu;
  final Machine machine;
  final long handle;
  final Set<SimulatedContext> peers = new HashSet<>();
  final List<SimulatedStream> streams = new ArrayList<>();
  int uses;
  private int lostTo;
  private String fault = "";
  private boolean ended;

  SimulatedContext(SimulatedGpu gpu) {
    this.gpu = gpu;
    this.machine = gpu.machine;
    this.handle = machine.handle(this);
  }

  /** This context, if work can still be done in it. */
  SimulatedContext requireSound() {
    if (ended) {
      throw new DriverError(
          Cuda.CUDA_ERROR_CONTEXT_IS_DESTROYED(), this + " was released by its last user");
    }
    if (lostTo != 0) {
      throw new DriverError(lostTo, this + " is lost: " + fault);
    }
    return this;
  }

  boolean isLost() {
    return lostTo != 0;
  }

  /** The fault that the context was lost to; empty if it is sound. */
  String fault() {
    return fault;
  }

  void lose(SimulatedFault cause, String work) {
    lostTo = Machine.status(cause);
    fault = work + ": " + cause.getMessage();
    machine.complain("fault on " + gpu + " in " + fault);
    streams.forEach(SimulatedStream::abandon);
  }

  /** Runs all queued work as far as it goes. */
  boolean runAll() {
    boolean idle = true;
    for (SimulatedStream stream : List.copyOf(streams)) {
      idle &= stream.runAll();
    }
    return idle;
  }

  /** Runs what the default stream waits for before a blocking copy: streams made as blocking. */
  boolean runBlockingStreams() {
    boolean idle = true;
    for (SimulatedStream stream : List.copyOf(streams)) {
      idle &= !stream.isBlocking() || stream.runAll();
    }
    return idle;
  }

  void end() {
    ended = true;
    streams.forEach(SimulatedStream::abandon);
  }

  @Override
  public String toString() {
    return "the context of " + gpu;
  }
}
