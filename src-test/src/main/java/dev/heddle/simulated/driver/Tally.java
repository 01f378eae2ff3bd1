package dev.heddle.simulated.driver;

import dev.heddle.runtime.cuda.KernelTraffic;
import java.util.Map;
import java.util.TreeMap;

/** The running figures behind {@link SimulatedCounters}; guarded by the machine. */
final class Tally {
  private final Map<String, Long> launches = new TreeMap<>();
  private final Map<String, KernelTraffic> traffic = new TreeMap<>();
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

  /** What a launch of {@code kernel} has read and written, each byte counted once. */
  void moved(String kernel, long bytesRead, long bytesWritten) {
    traffic.merge(kernel, new KernelTraffic(1, bytesRead, bytesWritten), KernelTraffic::plus);
  }

  SimulatedCounters read() {
    return new SimulatedCounters(
        Map.copyOf(launches),
        Map.copyOf(traffic),
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
