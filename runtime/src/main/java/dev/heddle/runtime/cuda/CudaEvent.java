package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A mark in a stream, set by {@link CudaStream#record}: other streams and the host can wait for the
 * work before it. Recording again moves the mark; who already waits still waits for the old one.
 */
public final class CudaEvent implements AutoCloseable {
  private final CudaContext context;
  private final MemorySegment address;
  private boolean closed;

  private CudaEvent(CudaContext context, MemorySegment address) {
    this.context = context;
    this.address = address;
  }

  /** An event for order only, which is the cheap kind. */
  public static CudaEvent open(CudaContext context) {
    return open(context, Cuda.CU_EVENT_DISABLE_TIMING());
  }

  /** An event that also takes the time. */
  public static CudaEvent openTimed(CudaContext context) {
    return open(context, Cuda.CU_EVENT_DEFAULT());
  }

  private static CudaEvent open(CudaContext context, int flags) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      CudaDriver.check(Cuda.cuEventCreate(pointer, flags), "cuEventCreate");
      return new CudaEvent(context, pointer.get(CudaDriver.POINTER, 0));
    }
  }

  /** The driver's handle, a {@code CUevent}. */
  public MemorySegment address() {
    return address;
  }

  /** Whether the work before the mark is done; true for an event that was never recorded. */
  public boolean isDone() {
    context.makeCurrent();
    int status = Cuda.cuEventQuery(address);
    if (status == Cuda.CUDA_ERROR_NOT_READY()) {
      return false;
    }
    CudaDriver.check(status, "cuEventQuery");
    return true;
  }

  /** Waits on the host until the work before the mark is done. */
  public void synchronize() {
    synchronize(false);
  }

  /**
   * The same.
   *
   * @param behind whether the device was given more work since, so that it is not idle meanwhile
   */
  void synchronize(boolean behind) {
    context.makeCurrent();
    if (behind) {
      context.tally.trailingWaits++;
    } else {
      context.tally.hostSynchronizations++;
    }
    CudaDriver.check(Cuda.cuEventSynchronize(address), "cuEventSynchronize");
  }

  /** Milliseconds from {@code start} to this mark; both timed and done. */
  public float millisecondsSince(CudaEvent start) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment milliseconds = arena.allocate(JAVA_FLOAT);
      int status = Cuda.cuEventElapsedTime_v2(milliseconds, start.address, address);
      CudaDriver.check(status, "cuEventElapsedTime");
      return milliseconds.get(JAVA_FLOAT, 0);
    }
  }

  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.makeCurrent();
      CudaDriver.check(Cuda.cuEventDestroy_v2(address), "cuEventDestroy");
    }
  }
}
