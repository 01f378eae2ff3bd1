package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cuda.CUgraphExecUpdateResultInfo;
import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A stretch of a device's work, recorded once and launched again and again in one call: a steady
 * training step without the cost of launching its kernels one by one. Made by {@link
 * CudaDevice#capture}.
 *
 * <p>What is recorded are kernels with their arguments as they were: the same addresses and the
 * same scalars at every launch. New inputs are therefore written into the same arrays before the
 * launch, and results read from the same arrays after it. The graph keeps the memory that the work
 * took from the device's pool until {@link #close()}, so that nobody else is given it; arrays from
 * before the capture are kept alive by their owner.
 */
public final class CudaGraph implements AutoCloseable {
  private final CudaContext context;
  private final CudaStream stream;
  private final MemoryPool.Reservation reservation;
  private MemorySegment executable;
  private boolean closed;

  private CudaGraph(
      CudaContext context,
      CudaStream stream,
      MemoryPool.Reservation reservation,
      MemorySegment executable) {
    this.context = context;
    this.stream = stream;
    this.reservation = reservation;
    this.executable = executable;
  }

  static CudaGraph capture(CudaContext context, CudaStream stream, MemoryPool pool, Runnable work) {
    MemoryPool.Reservation reservation = pool.reserve();
    try {
      MemorySegment graph = record(context, stream, work);
      try {
        reservation.end();
        return new CudaGraph(context, stream, reservation, CudaCapture.instantiate(context, graph));
      } finally {
        CudaCapture.destroy(graph);
      }
    } catch (RuntimeException | Error failure) {
      reservation.close();
      throw failure;
    }
  }

  /** The driver's graph of what {@code work} gives to the stream; the caller destroys it. */
  private static MemorySegment record(CudaContext context, CudaStream stream, Runnable work) {
    stream.refuseInCapture("a capture");
    CudaCapture.begin(context, stream);
    boolean worked = false;
    try {
      work.run();
      worked = true;
    } finally {
      if (!worked) {
        CudaCapture.abandon(context, stream);
      }
    }
    return CudaCapture.end(context, stream);
  }

  /** Queues all recorded work on the device's stream; returns at once. */
  public void launch() {
    requireOpen();
    stream.refuseInCapture("a launch of a graph");
    CudaCapture.launch(context, stream, executable);
  }

  /**
   * Records {@code work} in place of what was recorded before. Cheap where it is the same kernels
   * in the same order with other arguments; otherwise the graph is built anew.
   *
   * @return whether the cheap way was enough
   */
  public boolean update(Runnable work) {
    requireOpen();
    stream.refuseInCapture("an update of a graph");
    // What the old recording used is the first that the new one is given.
    reservation.resume();
    MemorySegment graph;
    try {
      graph = record(context, stream, work);
    } finally {
      reservation.end();
    }
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = CUgraphExecUpdateResultInfo.allocate(arena).fill((byte) 0);
      int status = Cuda.cuGraphExecUpdate_v2(executable, graph, result);
      if (status == 0) {
        return true;
      }
      if (status != Cuda.CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE()) {
        throw CudaDriver.failure(status, "cuGraphExecUpdate", "device", context.ordinal());
      }
      MemorySegment before = executable;
      executable = CudaCapture.instantiate(context, graph);
      CudaCapture.destroyExecutable(before);
      return false;
    } finally {
      CudaCapture.destroy(graph);
    }
  }

  private void requireOpen() {
    if (closed) {
      throw new IllegalStateException("CudaGraph: used after close");
    }
  }

  /** Gives the graph and the memory that it kept back. Launches still running end undisturbed. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      context.makeCurrent();
      try {
        CudaCapture.destroyExecutable(executable);
      } finally {
        reservation.close();
      }
    }
  }
}
