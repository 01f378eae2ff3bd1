package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** A kernel of a {@link CudaModule}, ready to launch; lives as long as its module. */
public final class CudaFunction {
  private final @Nullable CudaContext context;
  private final String name;
  private final MemorySegment address;

  CudaFunction(CudaContext context, String name, MemorySegment address) {
    this.context = context;
    this.name = name;
    this.address = address;
  }

  private CudaFunction(String name) {
    this.context = null;
    this.name = name;
    this.address = MemorySegment.NULL;
  }

  /** A kernel of a GPU on paper: a name that cannot be launched. */
  static CudaFunction onPaper(String name) {
    return new CudaFunction(name);
  }

  private CudaContext context() {
    CudaContext real = context;
    if (real == null) {
      throw new IllegalStateException(name + " is a kernel on paper: it can be counted only");
    }
    return real;
  }

  /** The kernel's name in its module. */
  public String name() {
    return name;
  }

  /**
   * Queues the kernel on {@code stream}. A grid or block without threads queues nothing, so that
   * empty arrays need no care. Allocates nothing.
   *
   * @param sharedBytes dynamic shared memory of each block; above 48 KiB ask for it with {@link
   *     #allowSharedBytes} first
   */
  public void launch(
      CudaStream stream,
      int gridX,
      int gridY,
      int gridZ,
      int blockX,
      int blockY,
      int blockZ,
      int sharedBytes,
      LaunchArguments arguments) {
    if (gridX == 0 || gridY == 0 || gridZ == 0) {
      return;
    }
    CudaContext real = context();
    real.makeCurrent();
    real.tally.launches++;
    int status =
        Cuda.cuLaunchKernel(
            address,
            gridX,
            gridY,
            gridZ,
            blockX,
            blockY,
            blockZ,
            sharedBytes,
            stream.address(),
            arguments.kernelParameters(),
            MemorySegment.NULL);
    if (status != 0) {
      throw CudaDriver.failure(
          status,
          "cuLaunchKernel",
          "kernel",
          name,
          "grid",
          gridX + "x" + gridY + "x" + gridZ,
          "block",
          blockX + "x" + blockY + "x" + blockZ,
          "sharedBytes",
          sharedBytes,
          "arguments",
          arguments.count());
    }
  }

  /** Lets launches ask for up to {@code bytes} of dynamic shared memory. */
  public void allowSharedBytes(int bytes) {
    context().makeCurrent();
    int attribute = Cuda.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES();
    int status = Cuda.cuFuncSetAttribute(address, attribute, bytes);
    if (status != 0) {
      throw CudaDriver.failure(status, "cuFuncSetAttribute", "kernel", name, "sharedBytes", bytes);
    }
  }

  @Override
  public String toString() {
    return name + (context == null ? " on paper" : " on cuda:" + context.ordinal());
  }
}
