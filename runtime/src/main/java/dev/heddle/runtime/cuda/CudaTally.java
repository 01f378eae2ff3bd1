package dev.heddle.runtime.cuda;

/** The running figures behind {@link CudaCounters}; belongs to the device's thread. */
final class CudaTally {
  long launches;
  long graphLaunches;
  long hostSynchronizations;
  long deviceAllocations;
  long bytesToDevice;
  long bytesToHost;
  long bytesOnDevice;

  CudaCounters read() {
    return new CudaCounters(
        launches,
        graphLaunches,
        hostSynchronizations,
        deviceAllocations,
        bytesToDevice,
        bytesToHost,
        bytesOnDevice);
  }
}
