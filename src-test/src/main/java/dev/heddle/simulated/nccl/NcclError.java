package dev.heddle.simulated.nccl;

import dev.heddle.bindings.nccl.Nccl;

/** Ends a simulated NCCL call with a status other than success. */
final class NcclError extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  NcclError(int status, String message) {
    super(message);
    this.status = status;
  }

  int status() {
    return status;
  }

  static NcclError argument(String message) {
    return new NcclError(Nccl.ncclInvalidArgument(), message);
  }

  static NcclError usage(String message) {
    return new NcclError(Nccl.ncclInvalidUsage(), message);
  }
}
