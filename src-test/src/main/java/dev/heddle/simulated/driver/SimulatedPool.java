package dev.heddle.simulated.driver;

import java.util.HashSet;
import java.util.Set;

/** A stream-ordered memory pool: bookkeeping only, the memory is the GPU's. */
final class SimulatedPool {
  final SimulatedGpu gpu;
  final boolean isDefault;
  private final Set<Integer> access = new HashSet<>();
  long releaseThreshold;
  int allocations;
  long usedBytes;

  SimulatedPool(SimulatedGpu gpu, boolean isDefault) {
    this.gpu = gpu;
    this.isDefault = isDefault;
  }

  void grant(int ordinal, boolean granted) {
    if (granted) {
      access.add(ordinal);
    } else {
      access.remove(ordinal);
    }
  }

  boolean grants(int ordinal) {
    return ordinal == gpu.ordinal || access.contains(ordinal);
  }
}
