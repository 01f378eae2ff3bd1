package dev.heddle.runtime.cuda;

/**
 * What a device was asked to do since it was opened. Tests hold loops to these figures: a steady
 * step allocates nothing and waits only where the host reads a value.
 *
 * @param launches kernels launched one by one, those recorded into a graph included
 * @param graphLaunches graphs launched, each counted once
 * @param hostSynchronizations how often the host waited for all that the device had been given
 * @param trailingWaits how often the host waited for earlier work, having given the device more
 *     since: it lets the host be no further ahead, and leaves the device no gap
 * @param deviceAllocations how often memory was taken from the driver
 * @param bytesToDevice bytes copied from the host
 * @param bytesToHost bytes copied to the host
 * @param bytesOnDevice bytes copied within the device and from other devices
 */
public record CudaCounters(
    long launches,
    long graphLaunches,
    long hostSynchronizations,
    long trailingWaits,
    long deviceAllocations,
    long bytesToDevice,
    long bytesToHost,
    long bytesOnDevice) {

  /** What was done since {@code earlier}. */
  public CudaCounters since(CudaCounters earlier) {
    return new CudaCounters(
        launches - earlier.launches,
        graphLaunches - earlier.graphLaunches,
        hostSynchronizations - earlier.hostSynchronizations,
        trailingWaits - earlier.trailingWaits,
        deviceAllocations - earlier.deviceAllocations,
        bytesToDevice - earlier.bytesToDevice,
        bytesToHost - earlier.bytesToHost,
        bytesOnDevice - earlier.bytesOnDevice);
  }
}
