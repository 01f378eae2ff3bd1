package dev.heddle.simulated.driver;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/** An event: the last mark that was recorded, in a stream or in a capture. */
final class SimulatedEvent implements InContext {
  /** A place in a stream, with the time when it was reached. */
  static final class Mark {
    final SimulatedStream stream;
    final long place;
    long nanos;

    Mark(SimulatedStream stream, long place) {
      this.stream = stream;
      this.place = place;
    }

    boolean reach() {
      return stream.runTo(place);
    }

    boolean isReached() {
      return stream.reached(place);
    }
  }

  /** A place in a capture: how many nodes of each of its streams come before. */
  record CaptureMark(Capture capture, Map<SimulatedStream, Integer> before) {}

  private final SimulatedContext context;
  final boolean timed;
  @Nullable Mark mark;
  @Nullable CaptureMark captureMark;

  SimulatedEvent(SimulatedContext context, boolean timed) {
    this.context = context;
    this.timed = timed;
  }

  @Override
  public SimulatedContext context() {
    return context;
  }

  @Override
  public String toString() {
    return "an event of " + context.gpu;
  }
}
