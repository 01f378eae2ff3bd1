package dev.heddle.runtime.cuda;

/**
 * A call into the CUDA driver, or into cuBLAS, that did not succeed. The message has the call with
 * its arguments, the error's name, the driver's own text, and what to do.
 */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;
  private final String errorName;
  private final String call;

  CudaException(int status, String errorName, String call, String message) {
    super(message);
    this.status = status;
    this.errorName = errorName;
    this.call = call;
  }

  /** The status: a {@code CUresult} of the driver's, or cuBLAS's {@code cublasStatus_t}. */
  public int status() {
    return status;
  }

  /** The status by name, such as {@code CUDA_ERROR_OUT_OF_MEMORY}. */
  public String errorName() {
    return errorName;
  }

  /** The function that was called, such as {@code cuMemAllocAsync}. */
  public String call() {
    return call;
  }
}
