package dev.heddle.simulated.driver;

/** What every GPU of compute capability 7.5 to 9.0 allows a launch. */
final class Limits {
  static final int THREADS_PER_BLOCK = 1024;
  static final int BLOCK_Z = 64;
  static final int GRID_YZ = 65_535;
  static final int SHARED_BYTES = 48 * 1024;
  static final int PARAMETER_BYTES = 4096;

  private Limits() {}

  /** Shared memory of a block at most, of which a kernel must ask for what is above 48 KiB. */
  static int sharedBytesOptIn(int computeCapability) {
    return switch (computeCapability) {
      case 75 -> 64 * 1024;
      case 86, 89 -> 99 * 1024;
      case 90 -> 227 * 1024;
      default -> 163 * 1024;
    };
  }
}
