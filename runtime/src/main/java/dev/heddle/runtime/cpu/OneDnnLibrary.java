package dev.heddle.runtime.cpu;

import dev.heddle.bindings.NativeLibrary;

/** Whether oneDNN can be used; apart from {@link OneDnnMultiply}, which needs it to be loaded. */
final class OneDnnLibrary {
  private OneDnnLibrary() {}

  static boolean isAvailable() {
    return NativeLibrary.ONEDNN.isAvailable()
        && NativeLibrary.ONEDNN.find("dnnl_sgemm").isPresent()
        && NativeLibrary.ONEDNN.find("omp_set_num_threads").isPresent();
  }
}
