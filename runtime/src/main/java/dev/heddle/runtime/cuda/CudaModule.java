package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Kernels that the driver compiled from PTX text for the GPU it found. The driver keeps what it
 * compiled in a cache of its own, so only the first load of a text is slow.
 */
public final class CudaModule implements AutoCloseable {
  private static final int LOG_BYTES = 16 * 1024;

  private final CudaContext context;
  private final String name;
  private final MemorySegment address;
  private boolean closed;

  private CudaModule(CudaContext context, String name, MemorySegment address) {
    this.context = context;
    this.name = name;
    this.address = address;
  }

  /**
   * Compiles and loads PTX.
   *
   * @param name what to call it in messages
   * @throws CudaException if the driver refuses it, with its compiler's log
   */
  public static CudaModule load(CudaContext context, String name, String ptx) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment log = arena.allocate(LOG_BYTES);
      MemorySegment options =
          arena.allocateFrom(
              ValueLayout.JAVA_INT,
              Cuda.CU_JIT_ERROR_LOG_BUFFER(),
              Cuda.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES());
      // Each value is a void*: a pointer, or a number in the place of one.
      MemorySegment values =
          arena.allocateFrom(ValueLayout.JAVA_LONG, log.address(), (long) LOG_BYTES);
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      MemorySegment image = arena.allocateFrom(ptx);
      int status = Cuda.cuModuleLoadDataEx(pointer, image, 2, options, values);
      if (status != 0) {
        String text = log.getString(0).strip();
        throw CudaDriver.failureWith(
            text.isEmpty() ? "" : "Log of the driver's compiler:\n" + text + "\n",
            status,
            "cuModuleLoadDataEx",
            "module",
            name,
            "device",
            context.ordinal());
      }
      return new CudaModule(context, name, pointer.get(CudaDriver.POINTER, 0));
    }
  }

  /**
   * The kernel of that name.
   *
   * @throws CudaException if the module has none
   */
  public CudaFunction function(String function) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int status = Cuda.cuModuleGetFunction(pointer, address, arena.allocateFrom(function));
      if (status != 0) {
        throw CudaDriver.failure(
            status, "cuModuleGetFunction", "module", name, "function", function);
      }
      return new CudaFunction(context, function, pointer.get(CudaDriver.POINTER, 0));
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.makeCurrent();
      CudaDriver.check(Cuda.cuModuleUnload(address), "cuModuleUnload");
    }
  }
}
