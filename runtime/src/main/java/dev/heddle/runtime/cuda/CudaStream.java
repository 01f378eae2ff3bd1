package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A queue of work of one GPU. Work on one stream runs in the order it was given; work on two runs
 * in any order unless one {@linkplain #waitFor waits} for an event of the other. All methods but
 * {@link #synchronize()} only queue and return at once. Streams are non-blocking: the driver's
 * default stream plays no part.
 *
 * <p>Addresses are device addresses and counts are in elements of the named width.
 */
public final class CudaStream implements AutoCloseable {
  private final CudaContext context;
  private final MemorySegment address;
  private boolean capturing;
  private boolean closed;

  private CudaStream(CudaContext context, MemorySegment address) {
    this.context = context;
    this.address = address;
  }

  /** A new stream of the context's GPU. */
  public static CudaStream open(CudaContext context) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int status = Cuda.cuStreamCreate(pointer, Cuda.CU_STREAM_NON_BLOCKING());
      CudaDriver.check(status, "cuStreamCreate");
      return new CudaStream(context, pointer.get(CudaDriver.POINTER, 0));
    }
  }

  /** The driver's handle, a {@code CUstream}. */
  public MemorySegment address() {
    return address;
  }

  /** The context it belongs to. */
  public CudaContext context() {
    return context;
  }

  /** Whether work is being recorded into a graph instead of run. */
  public boolean isCapturing() {
    return capturing;
  }

  /** Waits on the host until all work given so far is done. */
  public void synchronize() {
    refuseInCapture("CudaStream.synchronize");
    context.makeCurrent();
    context.tally.hostSynchronizations++;
    int status = Cuda.cuStreamSynchronize(address);
    if (status != 0) {
      throw CudaDriver.failure(
          status, "cuStreamSynchronize", "device", context.ordinal(), "stream", address);
    }
  }

  /** Whether all work given so far is done. */
  public boolean isDone() {
    context.makeCurrent();
    int status = Cuda.cuStreamQuery(address);
    if (status == Cuda.CUDA_ERROR_NOT_READY()) {
      return false;
    }
    CudaDriver.check(status, "cuStreamQuery");
    return true;
  }

  /** Sets the event's mark here: it is reached when all work given so far is done. */
  public void record(CudaEvent event) {
    context.makeCurrent();
    CudaDriver.check(Cuda.cuEventRecord(event.address(), address), "cuEventRecord");
  }

  /** Later work of this stream waits until the event's mark, where it is now, is reached. */
  public void waitFor(CudaEvent event) {
    context.makeCurrent();
    int status = Cuda.cuStreamWaitEvent(address, event.address(), Cuda.CU_EVENT_WAIT_DEFAULT());
    CudaDriver.check(status, "cuStreamWaitEvent");
  }

  /** Copies within the GPU; the ranges do not overlap. */
  public void copy(long destination, long source, long bytes) {
    if (bytes > 0) {
      context.makeCurrent();
      int status = Cuda.cuMemcpyDtoDAsync_v2(destination, source, bytes, address);
      checkCopy(status, "cuMemcpyDtoDAsync", destination, source, bytes);
      context.tally.bytesOnDevice += bytes;
    }
  }

  /** Copies from another GPU's memory to this one's. */
  public void copyFromPeer(long destination, CudaContext peer, long source, long bytes) {
    if (bytes > 0) {
      context.makeCurrent();
      int status =
          Cuda.cuMemcpyPeerAsync(
              destination, context.address(), source, peer.address(), bytes, address);
      checkCopy(status, "cuMemcpyPeerAsync", destination, source, bytes);
      context.tally.bytesOnDevice += bytes;
    }
  }

  /**
   * Copies host memory to the GPU. Pinned memory is read when the copy runs, so it must stay
   * unchanged until then; see {@link PinnedStaging}.
   */
  public void copyFromHost(long destination, MemorySegment source, long bytes) {
    if (bytes > 0) {
      context.makeCurrent();
      int status = Cuda.cuMemcpyHtoDAsync_v2(destination, source, bytes, address);
      checkCopy(status, "cuMemcpyHtoDAsync", destination, source.address(), bytes);
      context.tally.bytesToDevice += bytes;
    }
  }

  /** Copies GPU memory to pinned host memory, which holds it once the copy has run. */
  public void copyToHost(MemorySegment destination, long source, long bytes) {
    if (bytes > 0) {
      context.makeCurrent();
      int status = Cuda.cuMemcpyDtoHAsync_v2(destination, source, bytes, address);
      checkCopy(status, "cuMemcpyDtoHAsync", destination.address(), source, bytes);
      context.tally.bytesToHost += bytes;
    }
  }

  /** Sets {@code count} bytes. */
  public void fill8(long destination, byte value, long count) {
    if (count > 0) {
      context.makeCurrent();
      int status = Cuda.cuMemsetD8Async(destination, value, count, address);
      checkFill(status, "cuMemsetD8Async", destination, count);
    }
  }

  /** Sets {@code count} two-byte elements; the address is a multiple of 2. */
  public void fill16(long destination, short value, long count) {
    if (count > 0) {
      context.makeCurrent();
      int status = Cuda.cuMemsetD16Async(destination, value, count, address);
      checkFill(status, "cuMemsetD16Async", destination, count);
    }
  }

  /** Sets {@code count} four-byte elements; the address is a multiple of 4. */
  public void fill32(long destination, int value, long count) {
    if (count > 0) {
      context.makeCurrent();
      int status = Cuda.cuMemsetD32Async(destination, value, count, address);
      checkFill(status, "cuMemsetD32Async", destination, count);
    }
  }

  private void checkCopy(int status, String call, long destination, long source, long bytes) {
    if (status != 0) {
      throw CudaDriver.failure(
          status,
          call,
          "device",
          context.ordinal(),
          "destination",
          "0x" + Long.toHexString(destination),
          "source",
          "0x" + Long.toHexString(source),
          "bytes",
          bytes);
    }
  }

  private void checkFill(int status, String call, long destination, long count) {
    if (status != 0) {
      throw CudaDriver.failure(
          status,
          call,
          "device",
          context.ordinal(),
          "destination",
          "0x" + Long.toHexString(destination),
          "count",
          count);
    }
  }

  /** What would wait for, or be baked into, a graph under capture is refused with the way out. */
  void refuseInCapture(String what) {
    if (capturing) {
      throw new IllegalStateException(
          what
              + " on cuda:"
              + context.ordinal()
              + " while a graph is captured: the host may neither wait nor allocate nor copy; run"
              + " the step once before capturing it, and read and write values outside");
    }
  }

  void capturing(boolean now) {
    capturing = now;
  }

  /** Gives the stream back; work on it still runs to its end. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.makeCurrent();
      CudaDriver.check(Cuda.cuStreamDestroy_v2(address), "cuStreamDestroy");
    }
  }
}
