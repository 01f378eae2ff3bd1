package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cublas.Cublas;

/** The status codes of cuBLAS and cuBLASLt: their names, and what to do about them. */
enum CublasStatus {
  NOT_INITIALIZED(
      Cublas.CUBLAS_STATUS_NOT_INITIALIZED(),
      "The library found no usable GPU, or its CUDA level is newer than the driver's: run "
          + "`heddle doctor`, and install the driver that the library's version needs."),
  ALLOC_FAILED(
      Cublas.CUBLAS_STATUS_ALLOC_FAILED(),
      "The GPU's memory is used up: use a smaller batch, or end other programs on the GPU."),
  INVALID_VALUE(
      Cublas.CUBLAS_STATUS_INVALID_VALUE(),
      "The library refused an argument. Arguments are checked before they get there, so this is a "
          + "bug in Heddle: report it with this message; CUBLASLT_LOG_LEVEL=1 and "
          + "CUBLAS_LOGDEST_DBG=stderr make the library say more."),
  ARCH_MISMATCH(
      Cublas.CUBLAS_STATUS_ARCH_MISMATCH(),
      "This GPU cannot compute in that type: bf16 needs compute capability 8.0; use F32."),
  MAPPING_ERROR(
      Cublas.CUBLAS_STATUS_MAPPING_ERROR(),
      "The GPU's memory could not be reached: an earlier call failed; look at the first error."),
  EXECUTION_FAILED(
      Cublas.CUBLAS_STATUS_EXECUTION_FAILED(),
      "The GPU did not start the product: an earlier kernel failed or the driver is in trouble; "
          + "run again with CUDA_LAUNCH_BLOCKING=1 to find the first failure."),
  INTERNAL_ERROR(
      Cublas.CUBLAS_STATUS_INTERNAL_ERROR(),
      "The library failed inside, most often because an earlier kernel or copy failed; look at the "
          + "first error, and run again with CUDA_LAUNCH_BLOCKING=1."),
  NOT_SUPPORTED(
      Cublas.CUBLAS_STATUS_NOT_SUPPORTED(),
      "This version of the library cannot compute this product on this GPU; try another version of "
          + "CUDA 12 or 13."),
  LICENSE_ERROR(
      Cublas.CUBLAS_STATUS_LICENSE_ERROR(), "The library says that its license is not valid.");

  private final int code;
  private final String advice;

  CublasStatus(int code, String advice) {
    this.code = code;
    this.advice = advice;
  }

  /** The exception for a call that returned {@code code}. */
  static CudaException failure(String call, String arguments, int code) {
    String name = nameOf(code);
    String message = "%s(%s): %s (%d). %s".formatted(call, arguments, name, code, adviceFor(code));
    return new CudaException(code, name, call, message);
  }

  /** Whether the call itself may be right, and work that was given to the GPU before was not. */
  static boolean followsFromEarlierWork(int code) {
    return code == MAPPING_ERROR.code
        || code == EXECUTION_FAILED.code
        || code == INTERNAL_ERROR.code;
  }

  /** {@code CUBLAS_STATUS_...}, or the number of a code that is not known here. */
  static String nameOf(int code) {
    for (CublasStatus status : values()) {
      if (status.code == code) {
        return "CUBLAS_STATUS_" + status.name();
      }
    }
    return "CUBLAS_STATUS " + code;
  }

  /** What a person can do about it. */
  static String adviceFor(int code) {
    for (CublasStatus status : values()) {
      if (status.code == code) {
        return status.advice;
      }
    }
    return "This version of the library is newer than this program: use CUDA 12 or 13.";
  }
}
