package dev.heddle.runtime.cuda;

/** Something that lives and ends with a {@link CudaDevice}; see {@link CudaDevice#attachment}. */
interface CudaAttachment extends AutoCloseable {
  /** Called once, with the device's work done, its context current and its memory still there. */
  @Override
  void close();
}
