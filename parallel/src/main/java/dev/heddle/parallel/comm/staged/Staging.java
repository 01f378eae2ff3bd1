package dev.heddle.parallel.comm.staged;

import dev.heddle.parallel.comm.Communicator;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.IdentityHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** A rank's main memory for arrays on their way, and the calls that hold some of it. */
final class Staging implements AutoCloseable {
  final CpuDevice memory;
  final Map<Communicator, StagedCommunicator> groups = new IdentityHashMap<>();
  private final Set<StagedCall> open = new LinkedHashSet<>();
  private final Predicate<Device> outOfReach;

  /** Staging for arrays on devices that are {@code outOfReach} of other ranks. */
  Staging(String name, Predicate<Device> outOfReach) {
    memory = CpuDevice.open(name, 1, CpuBackend.REFERENCE);
    this.outOfReach = outOfReach;
  }

  StagedCall call() {
    return new StagedCall(this);
  }

  /** Whether an array has to travel through main memory. */
  boolean concerns(NDArray array) {
    return array.device().hasBytes() && outOfReach.test(array.device());
  }

  void opened(StagedCall call) {
    open.add(call);
  }

  void closed(StagedCall call) {
    open.remove(call);
  }

  /** Lets go of what calls hold that nobody will await any more. */
  void abandon() {
    List.copyOf(open).forEach(StagedCall::letGo);
  }

  /**
   * Gives the memory back. Not if a call was never awaited: the communicator below may still read
   * it, and says in the end what was left.
   */
  @Override
  public void close() {
    if (open.isEmpty()) {
      memory.close();
    } else {
      abandon();
    }
  }
}
