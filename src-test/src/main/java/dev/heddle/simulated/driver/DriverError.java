package dev.heddle.simulated.driver;

import dev.heddle.bindings.cuda.Cuda;

/** Ends a simulated driver call with a status other than success; the message goes to the log. */
final class DriverError extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  DriverError(int status, String message) {
    super(message);
    this.status = status;
  }

  int status() {
    return status;
  }

  static DriverError invalidValue(String message) {
    return new DriverError(Cuda.CUDA_ERROR_INVALID_VALUE(), message);
  }

  static DriverError invalidHandle(String message) {
    return new DriverError(Cuda.CUDA_ERROR_INVALID_HANDLE(), message);
  }
}
