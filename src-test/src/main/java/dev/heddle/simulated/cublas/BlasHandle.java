package dev.heddle.simulated.cublas;

/** The state of a {@code cublasHandle_t}. */
final class BlasHandle {
  final int device;
  long stream;
  long workspace;
  long workspaceBytes;
  int mathMode;

  BlasHandle(int device) {
    this.device = device;
  }
}
