package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;

/** What a person can do about an error of the driver. */
final class CudaAdvice {
  /**
   * Errors of work that ran before the call that reports them; they end the context, and with it
   * the use of that GPU by this process.
   */
  private static final String CONTEXT_LOST =
      " The GPU context is lost: every later call of this process on this GPU fails in the same"
          + " way, whatever it asks for. The fault is in work given to the GPU earlier, not in this"
          + " call. End the process; to find the kernel, run it under NVIDIA's compute-sanitizer or"
          + " with CUDA_LAUNCH_BLOCKING=1.";

  private CudaAdvice() {}

  /** A sentence or more, starting with a capital. */
  static String of(int status) {
    if (status == Cuda.CUDA_ERROR_NO_DEVICE() || status == Cuda.CUDA_ERROR_INVALID_DEVICE()) {
      return "The driver shows no such GPU: compare nvidia-smi, check CUDA_VISIBLE_DEVICES, and in a"
          + " container pass the GPUs through (docker run --gpus all).";
    }
    if (status == Cuda.CUDA_ERROR_STUB_LIBRARY()) {
      return "The library found is the toolkit's stub for linking, not the driver: remove its folder"
          + " from LD_LIBRARY_PATH, or name the driver with -Dheddle.cuda=PATH.";
    }
    if (status == Cuda.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH()
        || status == Cuda.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE()) {
      return "Library and kernel module of the driver are of different versions: reboot after a"
          + " driver update, or take CUDA's compat folder off LD_LIBRARY_PATH.";
    }
    if (status == Cuda.CUDA_ERROR_OUT_OF_MEMORY()) {
      return "Use smaller microbatches, recomputation or more ranks; nvidia-smi shows other processes"
          + " that hold memory of this GPU.";
    }
    if (status == Cuda.CUDA_ERROR_UNSUPPORTED_PTX_VERSION()) {
      return "The driver is older than the kernels' PTX: install a newer NVIDIA driver.";
    }
    if (status == Cuda.CUDA_ERROR_INVALID_PTX()) {
      return "The driver's compiler refused the PTX; its log says where.";
    }
    if (status == Cuda.CUDA_ERROR_NO_BINARY_FOR_GPU()) {
      return "The kernels are for newer GPUs than this one; compute capability 7.5 is the oldest that"
          + " Heddle runs on.";
    }
    if (status == Cuda.CUDA_ERROR_JIT_COMPILER_NOT_FOUND()) {
      return "The driver's PTX compiler (libnvidia-ptxjitcompiler) is missing: install the whole"
          + " driver, in a container with NVIDIA_DRIVER_CAPABILITIES=compute,utility.";
    }
    if (status == Cuda.CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES()) {
      return "The kernel wants more registers or shared memory than a multiprocessor has: launch"
          + " smaller blocks.";
    }
    if (status == Cuda.CUDA_ERROR_PEER_ACCESS_UNSUPPORTED()) {
      return "These GPUs cannot read each other's memory: copies between them go through the host.";
    }
    if (status == Cuda.CUDA_ERROR_NOT_INITIALIZED()
        || status == Cuda.CUDA_ERROR_DEINITIALIZED()
        || status == Cuda.CUDA_ERROR_CONTEXT_IS_DESTROYED()
        || status == Cuda.CUDA_ERROR_INVALID_CONTEXT()) {
      return "The device was used before it was opened or after it was closed.";
    }
    if (isCapture(status)) {
      return "While a graph is captured the host may neither wait nor allocate nor copy: run the step"
          + " once before capturing it, and read and write values outside.";
    }
    if (losesContext(status)) {
      return "A kernel or copy went wrong on the GPU." + CONTEXT_LOST;
    }
    return "";
  }

  private static boolean isCapture(int status) {
    return status >= Cuda.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED()
        && status <= Cuda.CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD();
  }

  /** Whether the error is sticky: nothing more can be done in the context. */
  static boolean losesContext(int status) {
    return status == Cuda.CUDA_ERROR_ILLEGAL_ADDRESS()
        || status == Cuda.CUDA_ERROR_MISALIGNED_ADDRESS()
        || status == Cuda.CUDA_ERROR_ILLEGAL_INSTRUCTION()
        || status == Cuda.CUDA_ERROR_INVALID_ADDRESS_SPACE()
        || status == Cuda.CUDA_ERROR_INVALID_PC()
        || status == Cuda.CUDA_ERROR_HARDWARE_STACK_ERROR()
        || status == Cuda.CUDA_ERROR_LAUNCH_FAILED()
        || status == Cuda.CUDA_ERROR_LAUNCH_TIMEOUT()
        || status == Cuda.CUDA_ERROR_ASSERT()
        || status == Cuda.CUDA_ERROR_ECC_UNCORRECTABLE()
        || status == Cuda.CUDA_ERROR_NVLINK_UNCORRECTABLE();
  }
}
