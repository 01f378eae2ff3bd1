package dev.heddle.runtime.cuda;

import dev.heddle.runtime.memory.MemoryPool;
import java.util.ArrayList;
import java.util.List;

/**
 * The cuBLAS handles of one device, one for each stream that has computed a product. They are made
 * with the first product of a stream and kept until the device closes.
 */
final class CublasStreams implements CudaAttachment {
  private final CublasLibrary library;
  private final MemoryPool memory;
  private final ProductOptions options;
  private final List<CublasHandle> handles = new ArrayList<>();

  /**
   * @param memory the device's pool, for the workspaces
   */
  CublasStreams(CublasLibrary library, MemoryPool memory, ProductOptions options) {
    this.library = library;
    this.memory = memory;
    this.options = options;
  }

  /**
   * Those of a device, of the installed library and as the system properties say.
   *
   * @throws IllegalStateException if there is no cuBLAS, with every name tried and what to do
   */
  static CublasStreams open(CudaDevice device) {
    return new CublasStreams(
        CublasLibrary.open(), device.memory(), ProductOptions.ofSystemProperties());
  }

  /** How products are to be computed. */
  ProductOptions options() {
    return options;
  }

  /** The handle of the stream with this address. */
  CublasHandle of(long stream) {
    // A device has two or three streams; a map would box the address.
    for (int i = 0; i < handles.size(); i++) {
      CublasHandle handle = handles.get(i);
      if (handle.stream() == stream) {
        return handle;
      }
    }
    CublasHandle handle = new CublasHandle(library, stream, memory, options);
    handles.add(handle);
    return handle;
  }

  /** How many streams have a handle. */
  int size() {
    return handles.size();
  }

  @Override
  public void close() {
    RuntimeException failure = null;
    for (CublasHandle handle : handles) {
      try {
        handle.close();
      } catch (RuntimeException thrown) {
        if (failure == null) {
          failure = thrown;
        } else {
          failure.addSuppressed(thrown);
        }
      }
    }
    handles.clear();
    if (failure != null) {
      throw failure;
    }
  }
}
