package dev.heddle.simulated.driver;

import dev.heddle.runtime.cuda.KernelTraffic;
import java.util.Map;

/**
 * What the simulated GPUs did since they were installed, all of them together.
 *
 * @param launches how often each kernel ran, by name; replays of graphs included
 * @param traffic what each kernel and each product moved, by name: every byte that a launch reads
 *     counted once, and every byte that it writes; kernels only where {@link
 *     SimulatedOptions#execution()} has them counted
 * @param graphLaunches graphs launched
 * @param synchronizations how often a host thread waited: for a stream, an event, a context, a
 *     blocking copy
 * @param bytesToDevice bytes copied from the host
 * @param bytesToHost bytes copied to the host
 * @param bytesOnDevice bytes copied within one GPU
 * @param bytesBetweenDevices bytes copied from one GPU to another
 * @param stagedPeerBytes those of them that went through the host
 * @param pageableCopies asynchronous copies from or to host memory that was not page-locked, which
 *     makes the host wait
 * @param allocations how often GPU memory was allocated
 */
public record SimulatedCounters(
    Map<String, Long> launches,
    Map<String, KernelTraffic> traffic,
    long graphLaunches,
    long synchronizations,
    long bytesToDevice,
    long bytesToHost,
    long bytesOnDevice,
    long bytesBetweenDevices,
    long stagedPeerBytes,
    long pageableCopies,
    long allocations) {

  /** Launches of all kernels. */
  public long totalLaunches() {
    return launches.values().stream().mapToLong(Long::longValue).sum();
  }
}
