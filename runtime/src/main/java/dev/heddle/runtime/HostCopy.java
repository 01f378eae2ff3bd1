package dev.heddle.runtime;

import java.lang.foreign.MemorySegment;

/**
 * Values that a device copies to the host when its work has got so far; see {@link
 * Device#copyToHostLater}. Belongs to the device's thread.
 */
public interface HostCopy {
  /** Whether {@link #await} would return at once. */
  boolean isDone();

  /**
   * The values, waiting for the device if they are not there yet; called once. Other work given to
   * the device after the copy is not waited for.
   */
  MemorySegment await();
}
