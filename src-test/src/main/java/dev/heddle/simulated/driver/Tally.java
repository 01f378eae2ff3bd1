package dev.heddle.simulated.driver;

import java.util.Map;
import java.util.TreeMap;

/** The running figures behind {@link SimulatedCounters}; guarded by the machine. */
final class Tally {
  private final Map<String, Long> launches = new TreeMap<>();
  long graphLaunches;
  long synchronizations;
  long bytesToDevice;
  long bytesToHost;
  long bytesOnDevice;
  long bytesBetweenDevices;
  long stagedPeerBytes;
  long pageableCopies;
  long allocations;

  void launched(String kernel) {
    launches.merge(kernel, 1L, Long::sum);
  }

  SimulatedCounters read() {
    return new SimulatedCounters(
        Map.copyOf(launches),
        graphLaunches,
        synchronizations,
        bytesToDevice,
        bytesToHost,
        bytesOnDevice,
        bytesBetweenDevices,
        stagedPeerBytes,
        pageableCopies,
        allocations);
  }
}
