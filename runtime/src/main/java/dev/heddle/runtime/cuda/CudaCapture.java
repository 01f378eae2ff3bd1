package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The driver's calls for capturing a stream's work into a graph. */
final class CudaCapture {
  private CudaCapture() {}

  /** From now on the stream's work is captured instead of run. */
  static void begin(CudaContext context, CudaStream stream) {
    context.makeCurrent();
    int mode = Cuda.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL();
    CudaDriver.check(Cuda.cuStreamBeginCapture_v2(stream.address(), mode), "cuStreamBeginCapture");
    stream.capturing(true);
  }

  /** The driver's graph of what was captured; the caller {@linkplain #destroy destroys} it. */
  static MemorySegment end(CudaContext context, CudaStream stream) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      stream.capturing(false);
      CudaDriver.check(Cuda.cuStreamEndCapture(stream.address(), pointer), "cuStreamEndCapture");
      return pointer.get(CudaDriver.POINTER, 0);
    }
  }

  /** Ends a capture whose work went wrong; what the driver says of it matters no more. */
  static void abandon(CudaContext context, CudaStream stream) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      stream.capturing(false);
      if (Cuda.cuStreamEndCapture(stream.address(), pointer) == 0) {
        destroy(pointer.get(CudaDriver.POINTER, 0));
      }
    }
  }

  /** Whether nothing was captured. */
  static boolean isEmpty(MemorySegment graph) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment count = arena.allocate(JAVA_LONG);
      CudaDriver.check(Cuda.cuGraphGetNodes(graph, MemorySegment.NULL, count), "cuGraphGetNodes");
      return count.get(JAVA_LONG, 0) == 0;
    }
  }

  static MemorySegment instantiate(CudaContext context, MemorySegment graph) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(CudaDriver.POINTER);
      int status = Cuda.cuGraphInstantiateWithFlags(pointer, graph, 0);
      if (status != 0) {
        throw CudaDriver.failure(status, "cuGraphInstantiate", "device", context.ordinal());
      }
      return pointer.get(CudaDriver.POINTER, 0);
    }
  }

  static void launch(CudaContext context, CudaStream stream, MemorySegment executable) {
    context.makeCurrent();
    context.tally.graphLaunches++;
    int status = Cuda.cuGraphLaunch(executable, stream.address());
    if (status != 0) {
      throw CudaDriver.failure(status, "cuGraphLaunch", "device", context.ordinal());
    }
  }

  static void destroy(MemorySegment graph) {
    CudaDriver.check(Cuda.cuGraphDestroy(graph), "cuGraphDestroy");
  }

  static void destroyExecutable(MemorySegment executable) {
    CudaDriver.check(Cuda.cuGraphExecDestroy(executable), "cuGraphExecDestroy");
  }
}
