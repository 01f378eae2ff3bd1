package dev.heddle.simulated.driver;

import dev.heddle.bindings.cuda.Cuda;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Work being recorded into a graph, from one stream and from those that joined it by waiting for an
 * event of it. Nodes are kept in the order they were given, which is an order that the recorded
 * dependencies allow.
 */
final class Capture {
  private final SimulatedStream origin;
  final Thread thread;
  final int mode;
  final List<GraphNode> nodes = new ArrayList<>();

  /** For each stream, how many nodes of each stream come before its next. */
  private final Map<SimulatedStream, Map<SimulatedStream, Integer>> before = new LinkedHashMap<>();

  private @Nullable String invalid;

  Capture(SimulatedStream origin, int mode) {
    this.origin = origin;
    this.mode = mode;
    this.thread = Thread.currentThread();
    join(origin);
  }

  private void join(SimulatedStream stream) {
    before.put(stream, new HashMap<>(Map.of(stream, 0)));
    stream.capture = this;
  }

  private Map<SimulatedStream, Integer> clock(SimulatedStream stream) {
    Map<SimulatedStream, Integer> clock = before.get(stream);
    if (clock == null) {
      throw new IllegalStateException(stream + " is not part of the capture");
    }
    return clock;
  }

  void add(SimulatedStream stream, GraphNode node) {
    nodes.add(node);
    clock(stream).merge(stream, 1, Integer::sum);
  }

  SimulatedEvent.CaptureMark mark(SimulatedStream stream) {
    return new SimulatedEvent.CaptureMark(this, Map.copyOf(clock(stream)));
  }

  void waitFor(SimulatedStream stream, SimulatedEvent.CaptureMark mark) {
    if (stream.capture == null) {
      join(stream);
    } else if (stream.capture != this) {
      throw new DriverError(
          Cuda.CUDA_ERROR_STREAM_CAPTURE_MERGE(), "two captures would become one by an event");
    }
    Map<SimulatedStream, Integer> clock = clock(stream);
    mark.before().forEach((other, count) -> clock.merge(other, count, Math::max));
  }

  void invalidate(String why) {
    if (invalid == null) {
      invalid = why;
    }
  }

  @Nullable String invalid() {
    return invalid;
  }

  /** Ends the capture for all its streams, checking that they came back to the origin. */
  void end(SimulatedStream stream) {
    for (SimulatedStream member : before.keySet()) {
      member.capture = null;
    }
    if (stream != origin) {
      throw new DriverError(
          Cuda.CUDA_ERROR_STREAM_CAPTURE_UNMATCHED(), "the capture began on another stream");
    }
    if (invalid != null) {
      throw new DriverError(
          Cuda.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED(), "the capture was invalidated: " + invalid);
    }
    Map<SimulatedStream, Integer> end = clock(origin);
    before.forEach(
        (member, clock) -> {
          if (end.getOrDefault(member, 0) < clock.getOrDefault(member, 0)) {
            throw new DriverError(
                Cuda.CUDA_ERROR_STREAM_CAPTURE_UNJOINED(),
                "work of another stream was captured that the origin never waited for");
          }
        });
  }
}
