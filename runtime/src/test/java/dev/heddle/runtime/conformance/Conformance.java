package dev.heddle.runtime.conformance;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.Kernels;

/** What the families of conformance tests need of {@link KernelConformance}. */
interface Conformance {
  /** Sizes around and off the vector widths. */
  long[] SIZES = {1, 3, 7, 8, 17, 31, 64, 100, 257};

  /** The dtype under test. */
  DType dtype();

  /** The device under test, with one thread. */
  Device subject();

  /** A new case called {@code description} in messages. */
  KernelCase kernelCase(String description);

  /** The table under test. */
  default Kernels kernels() {
    return subject().kernels(dtype());
  }
}
