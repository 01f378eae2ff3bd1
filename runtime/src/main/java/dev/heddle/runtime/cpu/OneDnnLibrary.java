package dev.heddle.runtime.cpu;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.onednn.OneDnn;
import dev.heddle.bindings.onednn.dnnl_version_t;
import java.lang.foreign.MemorySegment;

/** Whether oneDNN can be used; apart from {@link OneDnnMultiply}, which needs it to be loaded. */
final class OneDnnLibrary {
  private OneDnnLibrary() {}

  static boolean isAvailable() {
    return NativeLibrary.ONEDNN.isAvailable()
        && NativeLibrary.ONEDNN.find("dnnl_sgemm").isPresent()
        && NativeLibrary.ONEDNN.find("omp_set_num_threads").isPresent();
  }

  /** Its version, such as {@code 3.13.0}. */
  static String version() {
    MemorySegment version = OneDnn.dnnl_version();
    return dnnl_version_t.major(version)
        + "."
        + dnnl_version_t.minor(version)
        + "."
        + dnnl_version_t.patch(version);
  }
}
