package dev.heddle.runtime.cuda;

/** The running figures behind {@link CudaCounters}; belongs to the device's thread. */
final class CudaTally {
  long launches;
  long graphLaunches;
  long hostSynchronizations;
  long trailingWaits;
  long deviceAllocations;
  long bytesToDevice;
  long bytesToHost;
  long bytesOnDevice;

  /** Grows whenever the device is given work. */
  long given() {
    return launches + graphLaunches;
  }

  CudaCounters read() {
    return new CudaCounters(
        launches,
        graphLaunches,
        hostSynchronizations,
        trailingWaits,
        deviceAllocations,
        bytesToDevice,
        bytesToHost,
        bytesOnDevice);
  }
}
