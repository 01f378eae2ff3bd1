package dev.heddle.simulated.cublas;

/** The state of a {@code cublasHandle_t}. */
final class BlasHandle {
  long stream;
  long workspace;
  long workspaceBytes;
  int mathMode;
}
