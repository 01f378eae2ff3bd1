package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Main memory that the system keeps where it is, so that GPUs copy from and to it by themselves.
 * For an application's own buffers; what a device copies through, it has itself.
 */
public final class PageLockedMemory {
  private PageLockedMemory() {}

  /**
   * Memory with zeros, for all GPUs, until {@code life} is closed.
   *
   * @param ordinal the GPU whose context the driver wants for it
   * @param bytes how much; 0 gives an empty segment
   * @throws CudaException if the driver has no more of it
   */
  public static MemorySegment allocate(int ordinal, long bytes, Arena life) {
    CudaContext context = CudaContext.primary(ordinal);
    try (Arena arena = Arena.ofConfined()) {
      context.makeCurrent();
      MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
      int flags = Cuda.CU_MEMHOSTALLOC_PORTABLE();
      // The driver gives no memory of no bytes.
      long asked = Math.max(1, bytes);
      CudaDriver.check(Cuda.cuMemHostAlloc(pointer, asked, flags), "cuMemHostAlloc");
      return pointer
          .get(ValueLayout.ADDRESS, 0)
          .reinterpret(bytes, life, memory -> free(memory, context))
          .fill((byte) 0);
    } catch (RuntimeException failed) {
      context.close();
      throw failed;
    }
  }

  private static void free(MemorySegment memory, CudaContext context) {
    context.makeCurrent();
    CudaDriver.check(Cuda.cuMemFreeHost(memory), "cuMemFreeHost");
    context.close();
  }
}
