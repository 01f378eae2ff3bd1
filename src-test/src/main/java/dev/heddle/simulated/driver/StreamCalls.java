package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import dev.heddle.bindings.cuda.Cuda;
import java.lang.foreign.MemorySegment;

/**
 * The driver's functions for streams and events. A query lets one piece of work run, so that who
 * polls gets there; nothing else runs unless it is waited for.
 */
@SuppressWarnings("MethodName")
final class StreamCalls {
  private static final double NANOS_PER_MILLISECOND = 1e6;

  private StreamCalls() {}

  /** The stream of a handle, its context being sound. */
  static SimulatedStream stream(Machine machine, MemorySegment handle) {
    if (handle.address() == 0 || handle.address() <= 2) {
      throw DriverError.invalidHandle(
          "the default stream: the simulated driver wants all work on streams that were created");
    }
    SimulatedStream stream = machine.object(handle, SimulatedStream.class);
    stream.context().requireSound();
    return stream;
  }

  // ---- streams

  static int cuStreamCreate(MemorySegment stream, int flags) {
    Machine machine = Machine.running();
    synchronized (machine) {
      boolean blocking = (flags & Cuda.CU_STREAM_NON_BLOCKING()) == 0;
      long handle = machine.handle(new SimulatedStream(machine.context(), blocking));
      stream.set(ADDRESS, 0, MemorySegment.ofAddress(handle));
      return 0;
    }
  }

  /** Priorities mean nothing to work that runs one at a time. */
  static int cuStreamCreateWithPriority(MemorySegment stream, int flags, int priority) {
    return cuStreamCreate(stream, flags);
  }

  static int cuStreamDestroy_v2(MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedStream stream = machine.object(handle, SimulatedStream.class);
      machine.await("cuStreamDestroy", stream::runAll);
      stream.context().streams.remove(stream);
      machine.forget(handle);
      return 0;
    }
  }

  static int cuStreamSynchronize(MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream stream = stream(machine, handle);
      refuseIfCaptured(stream, "cuStreamSynchronize");
      machine.tally.synchronizations++;
      long place = stream.place();
      machine.await("cuStreamSynchronize on " + stream, () -> stream.runTo(place));
      stream.context().requireSound();
      return 0;
    }
  }

  static int cuStreamQuery(MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream stream = stream(machine, handle);
      refuseIfCaptured(stream, "cuStreamQuery");
      boolean idle = stream.isIdle();
      stream.step();
      stream.context().requireSound();
      return idle ? 0 : Cuda.CUDA_ERROR_NOT_READY();
    }
  }

  private static void refuseIfCaptured(SimulatedStream stream, String call) {
    Capture capture = stream.capture;
    if (capture != null) {
      capture.invalidate(call + " on a stream that is captured");
      throw new DriverError(
          Cuda.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED(), call + " on a stream that is captured");
    }
  }

  static int cuStreamWaitEvent(MemorySegment handle, MemorySegment eventHandle, int flags) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream stream = stream(machine, handle);
      SimulatedEvent event = machine.object(eventHandle, SimulatedEvent.class);
      SimulatedEvent.CaptureMark recorded = event.captureMark;
      if (recorded != null) {
        recorded.capture().waitFor(stream, recorded);
        return 0;
      }
      if (stream.capture != null) {
        stream.capture.invalidate("cuStreamWaitEvent for work outside the capture");
        throw new DriverError(
            Cuda.CUDA_ERROR_STREAM_CAPTURE_ISOLATION(),
            "a captured stream would wait for an event that was recorded outside the capture");
      }
      SimulatedEvent.Mark mark = event.mark;
      if (mark != null) {
        stream.enqueue(new GraphNode("wait", "wait for an event of " + mark.stream, mark::reach));
      }
      return 0;
    }
  }

  // ---- events

  static int cuEventCreate(MemorySegment event, int flags) {
    Machine machine = Machine.running();
    synchronized (machine) {
      boolean timed = (flags & Cuda.CU_EVENT_DISABLE_TIMING()) == 0;
      long handle = machine.handle(new SimulatedEvent(machine.context(), timed));
      event.set(ADDRESS, 0, MemorySegment.ofAddress(handle));
      return 0;
    }
  }

  static int cuEventDestroy_v2(MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.object(handle, SimulatedEvent.class);
      machine.forget(handle);
      return 0;
    }
  }

  static int cuEventRecord(MemorySegment handle, MemorySegment streamHandle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedEvent event = machine.object(handle, SimulatedEvent.class);
      SimulatedStream stream = stream(machine, streamHandle);
      if (event.context() != stream.context()) {
        throw DriverError.invalidHandle(event + " is recorded in " + stream);
      }
      Capture capture = stream.capture;
      if (capture != null) {
        event.captureMark = capture.mark(stream);
        return 0;
      }
      event.captureMark = null;
      SimulatedEvent.Mark mark = new SimulatedEvent.Mark(stream, stream.place() + 1);
      event.mark = mark;
      stream.enqueue(GraphNode.of("record", "record", () -> mark.nanos = System.nanoTime()));
      return 0;
    }
  }

  static int cuEventQuery(MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedEvent event = machine.object(handle, SimulatedEvent.class);
      refuseIfCaptured(event, "cuEventQuery");
      SimulatedEvent.Mark mark = event.mark;
      if (mark == null || mark.isReached()) {
        return 0;
      }
      mark.stream.step();
      event.context().requireSound();
      return Cuda.CUDA_ERROR_NOT_READY();
    }
  }

  static int cuEventSynchronize(MemorySegment handle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedEvent event = machine.object(handle, SimulatedEvent.class);
      refuseIfCaptured(event, "cuEventSynchronize");
      machine.tally.synchronizations++;
      SimulatedEvent.Mark mark = event.mark;
      if (mark != null) {
        machine.await("cuEventSynchronize on " + mark.stream, mark::reach);
      }
      event.context().requireSound();
      return 0;
    }
  }

  private static void refuseIfCaptured(SimulatedEvent event, String call) {
    SimulatedEvent.CaptureMark recorded = event.captureMark;
    if (recorded != null) {
      recorded.capture().invalidate(call + " on an event of the capture");
      throw new DriverError(Cuda.CUDA_ERROR_CAPTURED_EVENT(), call + " on an event of a capture");
    }
  }

  static int cuEventElapsedTime_v2(
      MemorySegment milliseconds, MemorySegment startHandle, MemorySegment endHandle) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedEvent.Mark start = timed(machine, startHandle);
      SimulatedEvent.Mark end = timed(machine, endHandle);
      if (!start.isReached() || !end.isReached()) {
        return Cuda.CUDA_ERROR_NOT_READY();
      }
      milliseconds.set(JAVA_FLOAT, 0, (float) ((end.nanos - start.nanos) / NANOS_PER_MILLISECOND));
      return 0;
    }
  }

  private static SimulatedEvent.Mark timed(Machine machine, MemorySegment handle) {
    SimulatedEvent event = machine.object(handle, SimulatedEvent.class);
    SimulatedEvent.Mark mark = event.mark;
    if (!event.timed || mark == null) {
      throw DriverError.invalidHandle("an event without times, or never recorded");
    }
    return mark;
  }

  static int cuStreamIsCapturing(MemorySegment handle, MemorySegment status) {
    Machine machine = Machine.running();
    synchronized (machine) {
      Capture capture = stream(machine, handle).capture;
      int answer =
          capture == null
              ? Cuda.CU_STREAM_CAPTURE_STATUS_NONE()
              : capture.invalid() == null
                  ? Cuda.CU_STREAM_CAPTURE_STATUS_ACTIVE()
                  : Cuda.CU_STREAM_CAPTURE_STATUS_INVALIDATED();
      status.set(JAVA_INT, 0, answer);
      return 0;
    }
  }
}
