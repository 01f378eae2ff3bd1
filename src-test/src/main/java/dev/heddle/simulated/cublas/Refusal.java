package dev.heddle.simulated.cublas;

import dev.heddle.bindings.cublas.Cublas;

/** A call that the library refuses: the status that it returns, and why in words. */
final class Refusal extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final int status;

  private Refusal(int status, String reason) {
    super(reason);
    this.status = status;
  }

  int status() {
    return status;
  }

  static Refusal invalid(String format, Object... arguments) {
    return new Refusal(Cublas.CUBLAS_STATUS_INVALID_VALUE(), String.format(format, arguments));
  }

  static Refusal unsupported(String format, Object... arguments) {
    return new Refusal(Cublas.CUBLAS_STATUS_NOT_SUPPORTED(), String.format(format, arguments));
  }

  static Refusal uninitialised(String format, Object... arguments) {
    return new Refusal(Cublas.CUBLAS_STATUS_NOT_INITIALIZED(), String.format(format, arguments));
  }

  static Refusal failed(String format, Object... arguments) {
    return new Refusal(Cublas.CUBLAS_STATUS_EXECUTION_FAILED(), String.format(format, arguments));
  }

  static void unless(boolean met, String format, Object... arguments) {
    if (!met) {
      throw invalid(format, arguments);
    }
  }
}
