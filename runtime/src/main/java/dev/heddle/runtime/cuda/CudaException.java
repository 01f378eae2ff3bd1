package dev.heddle.runtime.cuda;

/** A CUDA call that did not succeed. */
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  CudaException(String call, String arguments, String error, String advice) {
    super(call + "(" + arguments + ") returned " + error + ". " + advice);
  }
}
