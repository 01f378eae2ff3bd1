package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import dev.heddle.bindings.cuda.CUgraphExecUpdateResultInfo;
import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The driver's functions for capturing work into graphs and launching those. A graph's nodes run in
 * the order they were captured in, on the addresses that they were captured with.
 */
@SuppressWarnings("MethodName")
final class GraphCalls {
  private record Graph(List<GraphNode> nodes) {}

  private static final class Executable {
    List<GraphNode> nodes;

    Executable(List<GraphNode> nodes) {
      this.nodes = nodes;
    }
  }

  private GraphCalls() {}

  /** Calls that CUDA forbids while a capture that concerns this thread is going on. */
  static void refuseWhileCapturing(Machine machine, String call) {
    for (Capture capture : machine.captures) {
      boolean concerned =
          capture.mode == Cuda.CU_STREAM_CAPTURE_MODE_GLOBAL()
              || (capture.mode == Cuda.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL()
                  && capture.thread == Thread.currentThread());
      if (concerned) {
        capture.invalidate(call);
        throw new DriverError(
            Cuda.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED(), call + " while a stream is captured");
      }
    }
  }

  static int cuStreamBeginCapture_v2(MemorySegment handle, int mode) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream stream = StreamCalls.stream(machine, handle);
      if (stream.capture != null) {
        throw new DriverError(
            Cuda.CUDA_ERROR_ILLEGAL_STATE(), "the stream is being captured already");
      }
      machine.captures.add(new Capture(stream, mode));
      return 0;
    }
  }

  static int cuStreamEndCapture(MemorySegment handle, MemorySegment graph) {
    Machine machine = Machine.running();
    synchronized (machine) {
      graph.set(ADDRESS, 0, MemorySegment.NULL);
      SimulatedStream stream = StreamCalls.stream(machine, handle);
      Capture capture = stream.capture;
      if (capture == null) {
        throw new DriverError(Cuda.CUDA_ERROR_ILLEGAL_STATE(), "the stream is not being captured");
      }
      if (capture.mode != Cuda.CU_STREAM_CAPTURE_MODE_RELAXED()
          && capture.thread != Thread.currentThread()) {
        throw new DriverError(
            Cuda.CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD(), "the capture is another thread's");
      }
      machine.captures.remove(capture);
      capture.end(stream);
      long made = machine.handle(new Graph(List.copyOf(capture.nodes)));
      graph.set(ADDRESS, 0, MemorySegment.ofAddress(made));
      return 0;
    }
  }

  static int cuGraphGetNodes(MemorySegment graph, MemorySegment nodes, MemorySegment count) {
    Machine machine = Machine.running();
    synchronized (machine) {
      if (nodes.address() != 0) {
        throw new DriverError(
            Cuda.CUDA_ERROR_NOT_SUPPORTED(), "the simulated driver only counts a graph's nodes");
      }
      count.set(JAVA_LONG, 0, machine.object(graph, Graph.class).nodes().size());
      return 0;
    }
  }

  static int cuGraphInstantiateWithFlags(
      MemorySegment executable, MemorySegment graph, long flags) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      Executable made = new Executable(machine.object(graph, Graph.class).nodes());
      executable.set(ADDRESS, 0, MemorySegment.ofAddress(machine.handle(made)));
      return 0;
    }
  }

  static int cuGraphLaunch(MemorySegment executable, MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream stream = StreamCalls.stream(machine, handle);
      if (stream.capture != null) {
        refuseWhileCapturing(machine, "cuGraphLaunch (no graphs within graphs)");
      }
      machine.tally.graphLaunches++;
      machine.object(executable, Executable.class).nodes.forEach(stream::enqueue);
      return 0;
    }
  }

  /** Succeeds where the nodes are of the same kinds in the same order. */
  static int cuGraphExecUpdate_v2(
      MemorySegment executable, MemorySegment graph, MemorySegment result) {
    Machine machine = Machine.running();
    synchronized (machine) {
      Executable updated = machine.object(executable, Executable.class);
      List<GraphNode> nodes = machine.object(graph, Graph.class).nodes();
      List<String> before = updated.nodes.stream().map(GraphNode::kind).toList();
      List<String> after = nodes.stream().map(GraphNode::kind).toList();
      boolean same = before.equals(after);
      CUgraphExecUpdateResultInfo.result(
          result.reinterpret(CUgraphExecUpdateResultInfo.sizeof()),
          same
              ? Cuda.CU_GRAPH_EXEC_UPDATE_SUCCESS()
              : Cuda.CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED());
      if (!same) {
        throw new DriverError(
            Cuda.CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE(), "the graph has other nodes than before");
      }
      updated.nodes = nodes;
      return 0;
    }
  }

  static int cuGraphExecDestroy(MemorySegment executable) {
    return destroy(executable, Executable.class);
  }

  static int cuGraphDestroy(MemorySegment graph) {
    return destroy(graph, Graph.class);
  }

  private static int destroy(MemorySegment handle, Class<?> type) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.object(handle, type);
      machine.forget(handle);
      return 0;
    }
  }
}
