package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/** Page-locked host memory for values that a graph copies to the GPU whenever it is launched. */
final class CudaConstants implements AutoCloseable {
  private static final long CHUNK_BYTES = 64L << 10;
  private static final long ALIGNMENT = 64;

  private final CudaContext context;
  private final List<MemorySegment> chunks = new ArrayList<>();
  private long used;

  CudaConstants(CudaContext context) {
    this.context = context;
    grow(CHUNK_BYTES);
  }

  boolean hasRoom(long bytes) {
    return bytes <= chunks.getLast().byteSize() - used;
  }

  /** Takes memory for at least {@code bytes}; not while a stream is captured. */
  void grow(long bytes) {
    long size = Math.max(CHUNK_BYTES, bytes);
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int flags = Cuda.CU_MEMHOSTALLOC_PORTABLE();
      CudaDriver.check(Cuda.cuMemHostAlloc(pointer, size, flags), "cuMemHostAlloc");
      chunks.add(pointer.get(CudaDriver.POINTER, 0).reinterpret(size));
      used = 0;
    }
  }

  /** A copy of these values that stays. */
  MemorySegment keep(MemorySegment values) {
    MemorySegment kept = chunks.getLast().asSlice(used, values.byteSize()).copyFrom(values);
    used =
        Math.min(
            chunks.getLast().byteSize(), (used + values.byteSize() + ALIGNMENT - 1) & -ALIGNMENT);
    return kept;
  }

  @Override
  public void close() {
    context.makeCurrent();
    for (MemorySegment chunk : chunks) {
      CudaDriver.check(Cuda.cuMemFreeHost(chunk), "cuMemFreeHost");
    }
    chunks.clear();
  }
}
