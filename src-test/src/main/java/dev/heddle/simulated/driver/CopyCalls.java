package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_SHORT_UNALIGNED;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.simulated.memory.DeviceMemory;
import dev.heddle.simulated.memory.SimulatedFault;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.Consumer;

/** The driver's functions for copies and fills, on streams and blocking. */
@SuppressWarnings("MethodName")
final class CopyCalls {
  private CopyCalls() {}

  // ---- with the host, on a stream

  /**
   * From page-locked memory: read when the copy runs. From other host memory: the stream is waited
   * for and the bytes are taken at once, as CUDA does it.
   */
  static int cuMemcpyHtoDAsync_v2(
      long destination, MemorySegment source, long bytes, MemorySegment stream) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      SimulatedGpu gpu = on.context().gpu;
      String what =
          "copy of %d bytes from the host to 0x%x on %s".formatted(bytes, destination, gpu);
      long from = source.address();
      if (machine.hostMemory.isPinned(from, bytes)) {
        on.give(
            GraphNode.of(
                "copy from host",
                what,
                () -> {
                  MemorySegment host = machine.hostMemory.bytes(from, bytes, what);
                  gpu.at(destination, bytes, what).copyFrom(host);
                  machine.tally.bytesToDevice += bytes;
                }));
        return 0;
      }
      waitForPageable(machine, on, what);
      MemorySegment taken = Arena.ofAuto().allocate(bytes).copyFrom(source.reinterpret(bytes));
      on.give(
          GraphNode.of(
              "copy from host",
              what,
              () -> {
                gpu.at(destination, bytes, what).copyFrom(taken);
                machine.tally.bytesToDevice += bytes;
              }));
      return 0;
    }
  }

  /** To page-locked memory: written when the copy runs. To other host memory: blocking. */
  static int cuMemcpyDtoHAsync_v2(
      MemorySegment destination, long source, long bytes, MemorySegment stream) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      SimulatedGpu gpu = on.context().gpu;
      String what = "copy of %d bytes to the host from 0x%x on %s".formatted(bytes, source, gpu);
      long to = destination.address();
      boolean pinned = machine.hostMemory.isPinned(to, bytes);
      if (!pinned) {
        waitForPageable(machine, on, what);
      }
      MemorySegment host = destination.reinterpret(bytes);
      on.give(
          GraphNode.of(
              "copy to host",
              what,
              () -> {
                MemorySegment now = pinned ? machine.hostMemory.bytes(to, bytes, what) : host;
                now.copyFrom(gpu.at(source, bytes, what));
                machine.tally.bytesToHost += bytes;
              }));
      if (!pinned) {
        machine.await(what, on::runAll);
        on.context().requireSound();
      }
      return 0;
    }
  }

  private static void waitForPageable(Machine machine, SimulatedStream on, String what) {
    if (on.capture != null) {
      GraphCalls.refuseWhileCapturing(machine, what + ", which is not page-locked,");
    }
    machine.tally.pageableCopies++;
    machine.tally.synchronizations++;
    machine.await(what, on::runAll);
    on.context().requireSound();
  }

  // ---- with the host, blocking: on the default stream, which waits for no non-blocking stream

  static int cuMemcpyHtoD_v2(long destination, MemorySegment source, long bytes) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = blocking(machine, "cuMemcpyHtoD");
      now(
          context,
          "cuMemcpyHtoD",
          () ->
              context
                  .gpu
                  .at(destination, bytes, "cuMemcpyHtoD")
                  .copyFrom(source.reinterpret(bytes)));
      machine.tally.bytesToDevice += bytes;
      return 0;
    }
  }

  static int cuMemcpyDtoH_v2(MemorySegment destination, long source, long bytes) {
    Machine machine = Machine.running();
    synchronized (machine) {
      SimulatedContext context = blocking(machine, "cuMemcpyDtoH");
      now(
          context,
          "cuMemcpyDtoH",
          () ->
              destination
                  .reinterpret(bytes)
                  .copyFrom(context.gpu.at(source, bytes, "cuMemcpyDtoH")));
      machine.tally.bytesToHost += bytes;
      return 0;
    }
  }

  private static SimulatedContext blocking(Machine machine, String call) {
    SimulatedContext context = machine.context();
    GraphCalls.refuseWhileCapturing(machine, call);
    machine.tally.synchronizations++;
    machine.await(call, context::runBlockingStreams);
    return context.requireSound();
  }

  private static void now(SimulatedContext context, String call, Runnable work) {
    try {
      work.run();
    } catch (SimulatedFault fault) {
      context.lose(fault, call);
      context.requireSound();
    }
  }

  // ---- on and between devices

  static int cuMemcpyDtoDAsync_v2(long destination, long source, long bytes, MemorySegment stream) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      SimulatedGpu gpu = on.context().gpu;
      String what =
          "copy of %d bytes from 0x%x to 0x%x on %s".formatted(bytes, source, destination, gpu);
      on.give(
          GraphNode.of(
              "copy",
              what,
              () -> {
                if (source < destination + bytes && destination < source + bytes) {
                  throw new SimulatedFault(
                      SimulatedFault.Kind.ILLEGAL_ADDRESS, what + ": the ranges overlap");
                }
                gpu.at(destination, bytes, what).copyFrom(gpu.at(source, bytes, what));
                boolean within =
                    DeviceMemory.deviceOf(source) == DeviceMemory.deviceOf(destination);
                machine.tally.bytesOnDevice += within ? bytes : 0;
                machine.tally.bytesBetweenDevices += within ? 0 : bytes;
              }));
      return 0;
    }
  }

  /**
   * Refused between GPUs without access to each other's memory unless the options let such copies
   * go through the host, as a real driver does without a word.
   */
  static int cuMemcpyPeerAsync(
      long destination,
      MemorySegment destinationContext,
      long source,
      MemorySegment sourceContext,
      long bytes,
      MemorySegment stream) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      SimulatedGpu to = machine.object(destinationContext, SimulatedContext.class).gpu;
      SimulatedGpu from = machine.object(sourceContext, SimulatedContext.class).gpu;
      SimulatedGpu runs = on.context().gpu;
      boolean direct = runs.canAccess(from, source) && runs.canAccess(to, destination);
      if (!direct && !machine.options.stagedPeerCopies()) {
        throw new DriverError(
            Cuda.CUDA_ERROR_PEER_ACCESS_NOT_ENABLED(),
            "a copy from %s to %s by a stream of %s, which has no access to both: a real driver would send it through the host"
                .formatted(from, to, runs));
      }
      String what =
          "copy of %d bytes from 0x%x on %s to 0x%x on %s"
              .formatted(bytes, source, from, destination, to);
      on.give(
          GraphNode.of(
              "peer copy",
              what,
              () -> {
                to.at(destination, bytes, what).copyFrom(from.at(source, bytes, what));
                machine.tally.bytesBetweenDevices += bytes;
                machine.tally.stagedPeerBytes += direct ? 0 : bytes;
              }));
      return 0;
    }
  }

  // ---- fills

  static int cuMemsetD8Async(long destination, byte value, long count, MemorySegment stream) {
    return fill(destination, count, 1, stream, bytes -> bytes.fill(value));
  }

  static int cuMemsetD16Async(long destination, short value, long count, MemorySegment stream) {
    return fill(
        destination,
        count,
        Short.BYTES,
        stream,
        bytes -> {
          for (long i = 0; i < bytes.byteSize(); i += Short.BYTES) {
            bytes.set(JAVA_SHORT_UNALIGNED, i, value);
          }
        });
  }

  static int cuMemsetD32Async(long destination, int value, long count, MemorySegment stream) {
    return fill(
        destination,
        count,
        Integer.BYTES,
        stream,
        bytes -> {
          for (long i = 0; i < bytes.byteSize(); i += Integer.BYTES) {
            bytes.set(JAVA_INT_UNALIGNED, i, value);
          }
        });
  }

  private static int fill(
      long destination,
      long count,
      int width,
      MemorySegment stream,
      Consumer<MemorySegment> filler) {
    Machine machine = Machine.running();
    synchronized (machine) {
      machine.context();
      SimulatedStream on = StreamCalls.stream(machine, stream);
      if (destination % width != 0) {
        throw DriverError.invalidValue(
            "a fill of %d-byte elements at 0x%x".formatted(width, destination));
      }
      SimulatedGpu gpu = on.context().gpu;
      String what = "fill of %d bytes at 0x%x on %s".formatted(count * width, destination, gpu);
      on.give(
          GraphNode.of(
              "fill", what, () -> filler.accept(gpu.at(destination, count * width, what))));
      return 0;
    }
  }
}
