package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.heddle.bindings.NativeLibrary;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.management.ManagementFactory;
import java.util.Optional;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * What a launch costs on our side of the driver. The driver's functions are all the C library's
 * {@code sched_yield}, which takes nothing, does nothing and returns 0: success.
 */
class LaunchAllocationTest {
  private static final int LAUNCHES = 20_000;

  private final Linker linker = Linker.nativeLinker();

  @SuppressWarnings("UnusedMethod") // looked up by name
  private static int oneDevice(MemorySegment count) {
    count.reinterpret(Integer.BYTES).set(JAVA_INT, 0, 1);
    return 0;
  }

  @SuppressWarnings("UnusedMethod") // looked up by name
  private static int version13(MemorySegment version) {
    version.reinterpret(Integer.BYTES).set(JAVA_INT, 0, 13_000);
    return 0;
  }

  private MemorySegment stub(String method) throws ReflectiveOperationException {
    MethodType type = MethodType.methodType(int.class, MemorySegment.class);
    return linker.upcallStub(
        MethodHandles.lookup().findStatic(LaunchAllocationTest.class, method, type),
        FunctionDescriptor.of(JAVA_INT, ADDRESS),
        Arena.global());
  }

  @Test
  void launchAllocatesNothingOnTheHeap() throws Exception {
    Optional<MemorySegment> nothing = linker.defaultLookup().find("sched_yield");
    Assumptions.assumeTrue(nothing.isPresent(), "the C library has no sched_yield");
    MemorySegment count = stub("oneDevice");
    MemorySegment version = stub("version13");
    SymbolLookup driver =
        name ->
            switch (name) {
              case "cuDeviceGetCount" -> Optional.of(count);
              case "cuDriverGetVersion" -> Optional.of(version);
              default -> nothing;
            };
    try (NativeLibrary.Substitution ignored = NativeLibrary.CUDA.substitute(driver);
        Arena arena = Arena.ofConfined();
        CudaContext context = CudaContext.primary(0);
        CudaStream stream = CudaStream.open(context);
        CudaEvent event = CudaEvent.open(context)) {
      CudaFunction function = CudaModule.load(context, "m", "").function("f");
      LaunchArguments arguments = new LaunchArguments(arena);
      long[] dims = {3, 4, 5};
      run(function, stream, event, arguments, dims);

      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long best = Long.MAX_VALUE;
      for (int i = 0; i < 5; i++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        run(function, stream, event, arguments, dims);
        best = Math.min(best, threads.getCurrentThreadAllocatedBytes() - before);
      }
      assertThat((double) best / LAUNCHES).as("bytes a launch").isLessThan(1);
      assertThat(context.tally.read().launches()).isEqualTo(6L * LAUNCHES);
    }
  }

  private static void run(
      CudaFunction function,
      CudaStream stream,
      CudaEvent event,
      LaunchArguments arguments,
      long[] dims) {
    for (int i = 0; i < LAUNCHES; i++) {
      arguments.clear().pointer(64L * i).int32(i).int64(i).float32(i).float64(i).int64s(dims, 3);
      function.launch(stream, 1 + i, 1, 1, 256, 1, 1, 0, arguments);
      stream.copy(128, 64, 32);
      stream.fill32(64, 0, 8);
      stream.record(event);
      stream.waitFor(event);
    }
  }
}
