package dev.heddle.runtime.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/**
 * The PTX that Heddle ships beside its classes, compiled from {@code runtime/src/main/cuda} by
 * {@code .ci/build-ptx}. The driver compiles a module for its GPU when a kernel of it is first
 * needed, and keeps the result in a cache of its own.
 */
final class CudaPtx {
  private CudaPtx() {}

  /** The kernel of that name in a module that is loaded if it is not yet. */
  static CudaFunction function(CudaDevice device, String module, String kernel) {
    return device.module(module, () -> text(module)).function(kernel);
  }

  /** The text of a module, such as {@code softmax_f32}. */
  static String text(String module) {
    String file = module + ".ptx";
    try (InputStream stream = CudaPtx.class.getResourceAsStream(file)) {
      if (stream == null) {
        throw new IllegalStateException(
            "the kernels "
                + file
                + " are missing beside "
                + CudaPtx.class.getName()
                + ": the jar of heddle-runtime is incomplete; build it again");
      }
      return new String(stream.readAllBytes(), StandardCharsets.US_ASCII);
    } catch (IOException failure) {
      throw new UncheckedIOException("cannot read the kernels " + file, failure);
    }
  }
}
