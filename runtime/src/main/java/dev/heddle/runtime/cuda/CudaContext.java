package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * A use of a GPU's primary context, the one that cuBLAS and NCCL share with us. The driver counts
 * uses; the last {@link #close()} ends the context with everything in it.
 *
 * <p>A context must be current on a thread before most calls. {@link #makeCurrent()} sees to it and
 * remembers, for each thread, what it set last, so that calling it again costs next to nothing;
 * every class of this package calls it by itself. Code that sets the current context behind our
 * back must put it back.
 *
 * <p>Any thread may use a context; what is counted in it belongs to the device's thread.
 */
public final class CudaContext implements AutoCloseable {
  private static final ThreadLocal<@Nullable CudaContext> CURRENT = new ThreadLocal<>();

  final CudaTally tally = new CudaTally();
  private final int ordinal;
  private final int device;
  private final MemorySegment address;
  private volatile boolean closed;

  private CudaContext(int ordinal, int device, MemorySegment address) {
    this.ordinal = ordinal;
    this.device = device;
    this.address = address;
  }

  /** Starts a use of the primary context of GPU {@code ordinal} and makes it current. */
  public static CudaContext primary(int ordinal) {
    int device = CudaDeviceProperties.handle(ordinal);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int status = Cuda.cuDevicePrimaryCtxRetain(pointer, device);
      if (status != 0) {
        throw CudaDriver.failure(status, "cuDevicePrimaryCtxRetain", "device", ordinal);
      }
      CudaContext context = new CudaContext(ordinal, device, pointer.get(CudaDriver.POINTER, 0));
      context.makeCurrent();
      return context;
    }
  }

  /** The number of the GPU. */
  public int ordinal() {
    return ordinal;
  }

  /** The driver's handle, a {@code CUcontext}. */
  public MemorySegment address() {
    return address;
  }

  /** Makes this the context of the calling thread; next to free if it is already. */
  public void makeCurrent() {
    if (CURRENT.get() != this) {
      switchHere();
    }
  }

  private void switchHere() {
    if (closed) {
      throw new IllegalStateException("cuda:" + ordinal + " is used after it was closed");
    }
    int status = Cuda.cuCtxSetCurrent(address);
    if (status != 0) {
      throw CudaDriver.failure(status, "cuCtxSetCurrent", "context", address);
    }
    CURRENT.set(this);
  }

  /**
   * Lets kernels and copies of this context reach memory of {@code peer} that did not come from a
   * memory pool; {@link CudaMemory#allowAccessFrom} does the same for memory that did.
   *
   * @return false if the two GPUs cannot
   */
  public boolean enablePeerAccess(CudaContext peer) {
    if (peer.ordinal == ordinal) {
      return true;
    }
    if (!CudaDeviceProperties.canAccess(ordinal, peer.ordinal)) {
      return false;
    }
    makeCurrent();
    int status = Cuda.cuCtxEnablePeerAccess(peer.address, 0);
    if (status != 0 && status != Cuda.CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED()) {
      throw CudaDriver.failure(
          status, "cuCtxEnablePeerAccess", "from", ordinal, "to", peer.ordinal);
    }
    return true;
  }

  /** Bytes of the GPU that no process holds now. */
  public long freeBytes() {
    makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment free = arena.allocate(JAVA_LONG);
      MemorySegment total = arena.allocate(JAVA_LONG);
      CudaDriver.check(Cuda.cuMemGetInfo_v2(free, total), "cuMemGetInfo");
      return free.get(JAVA_LONG, 0);
    }
  }

  /** Waits until all work of the context is done, on whichever stream. */
  public void synchronize() {
    makeCurrent();
    tally.hostSynchronizations++;
    CudaDriver.check(Cuda.cuCtxSynchronize(), "cuCtxSynchronize");
  }

  /** Ends this use of the context. */
  @Override
  public void close() {
    if (closed) {
      return;
    }
    closed = true;
    if (CURRENT.get() == this) {
      CURRENT.remove();
    }
    int status = Cuda.cuDevicePrimaryCtxRelease_v2(device);
    if (status != 0) {
      throw CudaDriver.failure(status, "cuDevicePrimaryCtxRelease", "device", ordinal);
    }
  }
}
