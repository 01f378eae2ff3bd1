package dev.heddle.simulated.nccl;

import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.memory.SimulatedFault;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;

/**
 * The calls of one group on one communicator and stream: work of that stream, done when all its
 * calls are. All calls of a launch are under way at once.
 */
final class Launch implements SimulatedGpus.Task {
  private static final int SHOWN = 4;

  private final Communicator communicator;
  private final List<Call> calls;

  /** Which launch of the communicator it is; -1 if it was recorded into a graph. */
  private final long number;

  // Attempts go from launch to launch through the streams; the outermost one begins a new pass.
  // Guarded by the simulated GPUs, as all else.
  private static long pass;
  private static int depth;

  /** Arrivals of all launches so far: whether a second attempt within a pass could go better. */
  private static long arrivals;

  private long triedPass;
  private long triedArrivals;

  private final List<Arrival> underWay = new ArrayList<>();
  private boolean arrived;

  Launch(Communicator communicator, List<Call> calls, long number) {
    this.communicator = communicator;
    this.calls = List.copyOf(calls);
    this.number = number;
  }

  @Override
  public boolean run(SimulatedGpus.Memory memory) {
    if (communicator.state == Communicator.State.ABORTED) {
      return finish();
    }
    if (!arrived) {
      arrived = true;
      checkOrder();
      for (Call call : calls) {
        arrivals++;
        Arrival arrival = new Arrival(communicator, call, memory);
        underWay.add(arrival);
        communicator.clique.arrive(arrival);
      }
    }
    driveOthers();
    boolean done = true;
    for (Arrival arrival : underWay) {
      if (!arrival.fault.isEmpty()) {
        throw new SimulatedFault(SimulatedFault.Kind.INVALID_LAUNCH, "NCCL: " + arrival.fault);
      }
      arrival.takeDelivery();
      done &= arrival.done;
    }
    return done && finish();
  }

  private void driveOthers() {
    if (depth == 0) {
      pass++;
    } else if (triedPass == pass && triedArrivals == arrivals) {
      return;
    }
    depth++;
    try {
      for (Arrival arrival : underWay) {
        if (!arrival.done) {
          communicator.clique.drivePartners(arrival);
        }
      }
    } finally {
      depth--;
    }
    triedPass = pass;
    triedArrivals = arrivals;
  }

  private void checkOrder() {
    if (number >= 0 && number != communicator.finished) {
      throw new SimulatedFault(
          SimulatedFault.Kind.RACE,
          "NCCL: %s runs its launch %d (%s) before launch %d: one communicator is used on several streams, and nothing orders them; let one wait for an event of the other"
              .formatted(communicator, number, this, communicator.finished));
    }
  }

  private boolean finish() {
    underWay.clear();
    arrived = false;
    if (number >= 0) {
      communicator.finished = number + 1;
    }
    return true;
  }

  @Override
  public String toString() {
    StringJoiner text = new StringJoiner(", ");
    for (Call call : calls.subList(0, Math.min(SHOWN, calls.size()))) {
      text.add(call.toString());
    }
    if (calls.size() > SHOWN) {
      text.add((calls.size() - SHOWN) + " more");
    }
    return text.toString();
  }
}
