package dev.heddle.simulated.driver;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import dev.heddle.bindings.cuda.Cuda;
import dev.heddle.runtime.cuda.CudaContext;
import dev.heddle.runtime.cuda.CudaDriver;
import dev.heddle.runtime.cuda.CudaModule;
import dev.heddle.runtime.cuda.CudaStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;

/** Shorthand for tests that use the driver layer below {@code CudaDevice}. */
final class Probe {
  private Probe() {}

  /** The PTX of the tests' own small kernels, probe.cu beside this. */
  static String ptx() {
    try (InputStream in = Probe.class.getResourceAsStream("probe.ptx")) {
      return new String(in.readAllBytes(), StandardCharsets.US_ASCII);
    } catch (IOException failure) {
      throw new IllegalStateException(failure);
    }
  }

  static CudaModule module(CudaContext context) {
    return CudaModule.load(context, "probe", ptx());
  }

  /** Memory that is live at once; free it with {@link #free}. */
  static long allocate(CudaContext context, long bytes) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(ValueLayout.JAVA_LONG);
      CudaDriver.check(Cuda.cuMemAlloc_v2(pointer, bytes), "cuMemAlloc");
      return pointer.get(ValueLayout.JAVA_LONG, 0);
    }
  }

  static void free(CudaContext context, long address) {
    context.makeCurrent();
    CudaDriver.check(Cuda.cuMemFree_v2(address), "cuMemFree");
  }

  /** Memory in the order of a stream. */
  static long allocate(CudaStream stream, long bytes) {
    stream.context().makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(ValueLayout.JAVA_LONG);
      CudaDriver.check(Cuda.cuMemAllocAsync(pointer, bytes, stream.address()), "cuMemAllocAsync");
      return pointer.get(ValueLayout.JAVA_LONG, 0);
    }
  }

  static void free(CudaStream stream, long address) {
    stream.context().makeCurrent();
    CudaDriver.check(Cuda.cuMemFreeAsync(address, stream.address()), "cuMemFreeAsync");
  }

  /** Page-locked memory. */
  static MemorySegment pinned(CudaContext context, long bytes) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
      CudaDriver.check(Cuda.cuMemHostAlloc(pointer, bytes, 0), "cuMemHostAlloc");
      return pointer.get(ValueLayout.ADDRESS, 0).reinterpret(bytes);
    }
  }

  static void freePinned(MemorySegment memory) {
    CudaDriver.check(Cuda.cuMemFreeHost(memory), "cuMemFreeHost");
  }

  /** Blocking read on the default stream: what is there now, whatever is still queued. */
  static float[] floats(CudaContext context, long address, int count) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(JAVA_FLOAT, count);
      int status = Cuda.cuMemcpyDtoH_v2(host, address, host.byteSize());
      CudaDriver.check(status, "cuMemcpyDtoH");
      return host.toArray(JAVA_FLOAT);
    }
  }

  static double[] doubles(CudaContext context, long address, int count) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocate(JAVA_DOUBLE, count);
      int status = Cuda.cuMemcpyDtoH_v2(host, address, host.byteSize());
      CudaDriver.check(status, "cuMemcpyDtoH");
      return host.toArray(JAVA_DOUBLE);
    }
  }

  /** Blocking write on the default stream. */
  static void write(CudaContext context, long address, float... values) {
    context.makeCurrent();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment host = arena.allocateFrom(JAVA_FLOAT, values);
      int status = Cuda.cuMemcpyHtoD_v2(address, host, host.byteSize());
      CudaDriver.check(status, "cuMemcpyHtoD");
    }
  }
}
