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
  private final MemoryPool pool;
  private MemoryPool.Reservation reservation;
  private MemorySegment executable;
  private boolean closed;

  private CudaGraph(CudaContext context, CudaStream stream, MemoryPool pool, Recording recording) {
    this.context = context;
    this.stream = stream;
    this.pool = pool;
    this.reservation = recording.reservation;
    try {
      this.executable = instantiate(recording.graph);
    } catch (RuntimeException failure) {
      reservation.close();
      throw failure;
    } finally {
      destroy(recording.graph);
    }
  }

  /** What a capture leaves: the driver's graph and the memory that its work uses. */
  private record Recording(MemorySegment graph, MemoryPool.Reservation reservation) {}

  static CudaGraph capture(CudaContext context, CudaStream stream, MemoryPool pool, Runnable work) {
    return new CudaGraph(context, stream, pool, record(context, stream, pool, work));
  }

  private static Recording record(
      CudaContext context, CudaStream stream, MemoryPool pool, Runnable work) {
    stream.refuseInCapture("a capture");
    context.makeCurrent();
    MemoryPool.Reservation reservation = pool.reserve();
    RuntimeException failure = null;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int mode = Cuda.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL();
      CudaDriver.check(
          Cuda.cuStreamBeginCapture_v2(stream.address(), mode), "cuStreamBeginCapture");
      stream.capturing(true);
      try {
        work.run();
      } catch (RuntimeException thrown) {
        failure = thrown;
      } finally {
        stream.capturing(false);
      }
      int status = Cuda.cuStreamEndCapture(stream.address(), pointer);
      MemorySegment graph = pointer.get(CudaDriver.POINTER, 0);
      if (failure != null) {
        if (graph.address() != 0) {
          destroy(graph);
        }
        throw failure;
      }
      CudaDriver.check(status, "cuStreamEndCapture");
      reservation.end();
      return new Recording(graph, reservation);
    } catch (RuntimeException | Error thrown) {
      reservation.close();
      throw thrown;
    }
  }

  private MemorySegment instantiate(MemorySegment graph) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int status = Cuda.cuGraphInstantiateWithFlags(pointer, graph, 0);
      if (status != 0) {
        throw CudaDriver.failure(status, "cuGraphInstantiate", "device", context.ordinal());
      }
      return pointer.get(CudaDriver.POINTER, 0);
    }
  }

  private static void destroy(MemorySegment graph) {
    CudaDriver.check(Cuda.cuGraphDestroy(graph), "cuGraphDestroy");
  }

  /** Queues all recorded work on the device's stream; returns at once. */
  public void launch() {
    requireOpen();
    stream.refuseInCapture("a launch of a graph");
    context.makeCurrent();
    context.tally.graphLaunches++;
    int status = Cuda.cuGraphLaunch(executable, stream.address());
    if (status != 0) {
      throw CudaDriver.failure(status, "cuGraphLaunch", "device", context.ordinal());
    }
  }

  /**
   * Records {@code work} in place of what was recorded before. Cheap where it is the same kernels
   * in the same order with other arguments; otherwise the graph is built anew.
   *
   * @return whether the cheap way was enough
   */
  public boolean update(Runnable work) {
    requireOpen();
    Recording recording = record(context, stream, pool, work);
    boolean updated;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = CUgraphExecUpdateResultInfo.allocate(arena).fill((byte) 0);
      int status = Cuda.cuGraphExecUpdate_v2(executable, recording.graph, result);
      updated = status == 0;
      if (!updated) {
        if (status != Cuda.CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE()) {
          throw CudaDriver.failure(status, "cuGraphExecUpdate", "device", context.ordinal());
        }
        MemorySegment rebuilt = instantiate(recording.graph);
        MemorySegment before = executable;
        executable = rebuilt;
        CudaDriver.check(Cuda.cuGraphExecDestroy(before), "cuGraphExecDestroy");
      }
    } catch (RuntimeException failure) {
      recording.reservation.close();
      throw failure;
    } finally {
      destroy(recording.graph);
    }
    MemoryPool.Reservation before = reservation;
    reservation = recording.reservation;
    // Work of earlier launches that still runs is on the same stream as the memory's next user.
    before.close();
    return updated;
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
        CudaDriver.check(Cuda.cuGraphExecDestroy(executable), "cuGraphExecDestroy");
      } finally {
        reservation.close();
      }
    }
  }
}
