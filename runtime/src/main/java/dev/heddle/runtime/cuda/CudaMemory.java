package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.CUmemAccessDesc;
import dev.heddle.bindings.cuda.CUmemLocation;
import dev.heddle.bindings.cuda.CUmemPoolProps;
import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * GPU memory for a {@link MemoryPool}: allocated in the order of one stream from a pool of the
 * driver's, or, where the driver has no such pools, by {@code cuMemAlloc}.
 *
 * <p>Blocks are handed out again by the {@code MemoryPool} while work on them may still be queued.
 * That is sound because all work of a device is on one stream: the next user's work comes after it.
 * Who uses a block on another stream keeps the two apart with events.
 *
 * <p>The segments have size zero and the device address as theirs, so that the host cannot touch
 * GPU memory by mistake.
 */
public final class CudaMemory implements MemoryPool.Source {
  private final CudaContext context;
  private final CudaStream stream;
  private final @Nullable MemorySegment driverPool;
  private final Map<Long, Long> byteSizes = new LinkedHashMap<>();
  private @Nullable MemoryPool user;
  private Consumer<Runnable> betweenPieces = Runnable::run;
  private long reservedBytes;

  private CudaMemory(CudaContext context, CudaStream stream, @Nullable MemorySegment driverPool) {
    this.context = context;
    this.stream = stream;
    this.driverPool = driverPool;
  }

  /** Memory whose use is ordered by {@code stream}. */
  static CudaMemory open(CudaContext context, CudaStream stream, boolean hasMemoryPools) {
    return new CudaMemory(context, stream, hasMemoryPools ? createPool(context) : null);
  }

  private static MemorySegment createPool(CudaContext context) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment properties = CUmemPoolProps.allocate(arena).fill((byte) 0);
      CUmemPoolProps.allocType(properties, Cuda.CU_MEM_ALLOCATION_TYPE_PINNED());
      CUmemPoolProps.handleTypes(properties, Cuda.CU_MEM_HANDLE_TYPE_NONE());
      MemorySegment location = CUmemPoolProps.location(properties);
      CUmemLocation.type(location, Cuda.CU_MEM_LOCATION_TYPE_DEVICE());
      CUmemLocation.id(location, context.ordinal());
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      CudaDriver.check(Cuda.cuMemPoolCreate(pointer, properties), "cuMemPoolCreate");
      MemorySegment pool = pointer.get(CudaDriver.POINTER, 0);
      // Otherwise each synchronisation would hand unused memory back to the system.
      MemorySegment threshold = arena.allocateFrom(JAVA_LONG, -1L);
      int status =
          Cuda.cuMemPoolSetAttribute(pool, Cuda.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD(), threshold);
      CudaDriver.check(status, "cuMemPoolSetAttribute");
      return pool;
    }
  }

  /** Whose figures an out-of-memory message has. */
  void usedBy(MemoryPool pool) {
    user = pool;
  }

  /** Who runs what a capture forbids, such as an allocation. */
  void betweenPieces(Consumer<Runnable> runner) {
    betweenPieces = runner;
  }

  @Override
  public MemorySegment allocate(long byteSize) {
    MemorySegment[] made = {MemorySegment.NULL};
    betweenPieces.accept(() -> made[0] = allocateNow(byteSize));
    return made[0];
  }

  private MemorySegment allocateNow(long byteSize) {
    stream.refuseInCapture("an allocation of " + byteSize + " bytes");
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(JAVA_LONG);
      int status = allocate(pointer, byteSize);
      if (status == Cuda.CUDA_ERROR_OUT_OF_MEMORY() && giveUnusedBack()) {
        status = allocate(pointer, byteSize);
      }
      if (status != 0) {
        throw CudaDriver.failureWith(
            status == Cuda.CUDA_ERROR_OUT_OF_MEMORY() ? figures() : "",
            status,
            driverPool == null ? "cuMemAlloc" : "cuMemAllocFromPoolAsync",
            "bytes",
            byteSize,
            "device",
            context.ordinal());
      }
      long address = pointer.get(JAVA_LONG, 0);
      byteSizes.put(address, byteSize);
      reservedBytes += byteSize;
      context.tally.deviceAllocations++;
      return MemorySegment.ofAddress(address);
    }
  }

  private int allocate(MemorySegment pointer, long byteSize) {
    MemorySegment pool = driverPool;
    return pool == null
        ? Cuda.cuMemAlloc_v2(pointer, byteSize)
        : Cuda.cuMemAllocFromPoolAsync(pointer, byteSize, pool, stream.address());
  }

  /** Returns what waits for reuse in other sizes to the driver; false if there is nothing. */
  private boolean giveUnusedBack() {
    MemoryPool pool = user;
    if (pool == null || pool.trim() == 0) {
      return false;
    }
    MemorySegment mine = driverPool;
    if (mine != null) {
      // Freed in stream order: it is there when the stream has got so far.
      stream.synchronize();
      CudaDriver.check(Cuda.cuMemPoolTrimTo(mine, 0), "cuMemPoolTrimTo");
    }
    return true;
  }

  @Override
  public void release(MemorySegment memory) {
    context.makeCurrent();
    long address = memory.address();
    Long bytes = byteSizes.remove(address);
    if (bytes == null) {
      throw new IllegalArgumentException(
          "CudaMemory.release: 0x%x is not memory of this device".formatted(address));
    }
    reservedBytes -= bytes;
    free(address);
  }

  private void free(long address) {
    if (driverPool == null) {
      CudaDriver.check(Cuda.cuMemFree_v2(address), "cuMemFree");
    } else {
      CudaDriver.check(Cuda.cuMemFreeAsync(address, stream.address()), "cuMemFreeAsync");
    }
  }

  private String figures() {
    MemoryPool pool = user;
    long live = pool == null ? reservedBytes : pool.liveBytes();
    return String.format(
        Locale.ROOT,
        "cuda:%d has %,d bytes free; this device holds %,d bytes, %,d of them in use.",
        context.ordinal(),
        context.freeBytes(),
        reservedBytes,
        live);
  }

  /**
   * Lets GPU {@code ordinal} read and write this memory, what is allocated later included. The
   * counterpart for memory pools of {@link CudaContext#enablePeerAccess}.
   */
  void allowAccessFrom(int ordinal) {
    MemorySegment pool = driverPool;
    if (pool == null || ordinal == context.ordinal()) {
      return;
    }
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment access = CUmemAccessDesc.allocate(arena).fill((byte) 0);
      MemorySegment location = CUmemAccessDesc.location(access);
      CUmemLocation.type(location, Cuda.CU_MEM_LOCATION_TYPE_DEVICE());
      CUmemLocation.id(location, ordinal);
      CUmemAccessDesc.flags(access, Cuda.CU_MEM_ACCESS_FLAGS_PROT_READWRITE());
      int status = Cuda.cuMemPoolSetAccess(pool, access, 1);
      if (status != 0) {
        throw CudaDriver.failure(
            status, "cuMemPoolSetAccess", "device", context.ordinal(), "from", ordinal);
      }
    }
  }

  /** Bytes taken from the driver. */
  public long reservedBytes() {
    return reservedBytes;
  }

  @Override
  public void close() {
    context.makeCurrent();
    byteSizes.keySet().forEach(this::free);
    byteSizes.clear();
    reservedBytes = 0;
    MemorySegment pool = driverPool;
    if (pool != null) {
      CudaDriver.check(Cuda.cuStreamSynchronize(stream.address()), "cuStreamSynchronize");
      CudaDriver.check(Cuda.cuMemPoolDestroy(pool), "cuMemPoolDestroy");
    }
  }
}
