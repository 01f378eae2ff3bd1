package dev.heddle.runtime.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import dev.heddle.bindings.NativeLibrary;
import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.management.ManagementFactory;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * What calls of kernels cost on our side of the driver, from their checks to the launch. The
 * driver's functions are the C library's {@code feclearexcept}, which whatever it is given does
 * next to nothing and returns 0, success; only memory has addresses, and that of the host is real.
 */
class CudaKernelsAllocationTest {
  private static final int STEPS = 2000;
  private static final AtomicLong NEXT = new AtomicLong(1L << 40);

  private static int allocateHost(MemorySegment pointer, long bytes) {
    long address = Arena.global().allocate(bytes, 64).address();
    pointer.reinterpret(Long.BYTES).set(JAVA_LONG, 0, address);
    return 0;
  }

  private static int deviceAddress(MemorySegment pointer, MemorySegment host) {
    pointer.reinterpret(Long.BYTES).set(JAVA_LONG, 0, host.address());
    return 0;
  }

  private final Linker linker = Linker.nativeLinker();

  private static int oneDevice(MemorySegment count) {
    count.reinterpret(Integer.BYTES).set(JAVA_INT, 0, 1);
    return 0;
  }

  private static int version13(MemorySegment version) {
    version.reinterpret(Integer.BYTES).set(JAVA_INT, 0, 13_000);
    return 0;
  }

  private static int allocate(MemorySegment pointer, long bytes) {
    pointer.reinterpret(Long.BYTES).set(JAVA_LONG, 0, NEXT.getAndAdd(bytes + 511 & -512));
    return 0;
  }

  private MemorySegment stub(String method, MethodType type, FunctionDescriptor descriptor)
      throws ReflectiveOperationException {
    return linker.upcallStub(
        MethodHandles.lookup().findStatic(CudaKernelsAllocationTest.class, method, type),
        descriptor,
        Arena.global());
  }

  private MemorySegment stub(String method) throws ReflectiveOperationException {
    MethodType type = MethodType.methodType(int.class, MemorySegment.class);
    return stub(method, type, FunctionDescriptor.of(JAVA_INT, ADDRESS));
  }

  @Test
  void callsAllocateNothingOnTheHeap() throws Exception {
    Optional<MemorySegment> nothing = linker.defaultLookup().find("feclearexcept");
    Assumptions.assumeTrue(nothing.isPresent(), "the C library has no feclearexcept");
    MemorySegment count = stub("oneDevice");
    MemorySegment version = stub("version13");
    MemorySegment memory =
        stub(
            "allocate",
            MethodType.methodType(int.class, MemorySegment.class, long.class),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
    MemorySegment hostMemory =
        stub(
            "allocateHost",
            MethodType.methodType(int.class, MemorySegment.class, long.class),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_LONG));
    MemorySegment hostAddress =
        stub(
            "deviceAddress",
            MethodType.methodType(int.class, MemorySegment.class, MemorySegment.class),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS));
    SymbolLookup driver =
        name ->
            switch (name) {
              case "cuDeviceGetCount" -> Optional.of(count);
              case "cuDriverGetVersion" -> Optional.of(version);
              // What they take behind these, streams, pools and flags, lies in other registers.
              case "cuMemAlloc_v2", "cuMemAllocFromPoolAsync" -> Optional.of(memory);
              case "cuMemHostAlloc" -> Optional.of(hostMemory);
              case "cuMemHostGetDevicePointer_v2" -> Optional.of(hostAddress);
              default -> nothing;
            };
    try (NativeLibrary.Substitution ignored = NativeLibrary.CUDA.substitute(driver);
        CudaDevice device = CudaDevice.open(0);
        MemoryScope scope = MemoryScope.open()) {
      Step step = new Step(device);
      run(step);

      ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
      long launchesBefore = device.counters().launches();
      long best = Long.MAX_VALUE;
      for (int i = 0; i < 5; i++) {
        long before = threads.getCurrentThreadAllocatedBytes();
        run(step);
        best = Math.min(best, threads.getCurrentThreadAllocatedBytes() - before);
      }
      assertThat((double) best / STEPS).as("bytes a step").isLessThan(1);
      assertThat(device.counters().launches() - launchesBefore)
          .isEqualTo(5L * STEPS * Step.LAUNCHES);
    }
  }

  private static void run(Step step) {
    for (int i = 0; i < STEPS; i++) {
      step.run();
    }
  }

  /**
   * A call of every kind but those that read row numbers or values, and those that borrow scratch,
   * since tests trace who borrows.
   */
  private static final class Step {
    static final int LAUNCHES = 23;

    private static final RandomKey KEY = new RandomKey(1, 2);
    private static final AdamWStep ADAM = new AdamWStep(0.1, 0.9, 0.99, 1e-8, 0, 1, 1);
    private static final AttentionMask MASK = AttentionMask.CAUSAL;

    private final CudaKernels kernels;
    private final NDArray x;
    private final NDArray y;
    private final NDArray z;
    private final NDArray w;
    private final NDArray half;
    private final NDArray transposed;
    private final NDArray column;
    private final NDArray weight;
    private final NDArray mean;
    private final NDArray rstd;
    private final NDArray targets;
    private final NDArray loss;
    private final NDArray q;
    private final NDArray k;
    private final NDArray v;
    private final NDArray out;
    private final NDArray logSumExp;
    private final NDArray angles;
    private final GlobalIndex index = GlobalIndex.whole(Shape.of(700, 96));

    Step(CudaDevice device) {
      kernels = (CudaKernels) device.kernels(DType.F32);
      x = NDArray.empty(device, DType.F32, 700, 96);
      y = NDArray.empty(device, DType.F32, 700, 96);
      z = NDArray.empty(device, DType.F32, 700, 96);
      w = NDArray.empty(device, DType.F32, 700, 96);
      transposed = NDArray.empty(device, DType.F32, 96, 700).transpose(0, 1);
      column = NDArray.empty(device, DType.F32, 700, 1);
      weight = NDArray.empty(device, DType.F32, 96);
      mean = NDArray.empty(device, DType.F32, 700);
      rstd = NDArray.empty(device, DType.F32, 700);
      q = NDArray.empty(device, DType.F32, 2, 33, 4, 16);
      k = NDArray.empty(device, DType.F32, 2, 33, 4, 16);
      v = NDArray.empty(device, DType.F32, 2, 33, 4, 16);
      out = NDArray.empty(device, DType.F32, 2, 33, 4, 16);
      logSumExp = NDArray.empty(device, DType.F32, 2, 4, 33);
      angles = NDArray.empty(device, DType.F32, 33, 8);
      half = NDArray.empty(device, DType.BF16, 700, 96);
      targets = NDArray.empty(device, DType.I64, 700);
      loss = NDArray.empty(device, DType.F32, Shape.of());
    }

    void run() {
      kernels.fill(y, 1);
      kernels.copy(x, half);
      kernels.copy(transposed, y);
      kernels.unary(UnaryOperation.GELU, x, y);
      kernels.unaryBackward(UnaryOperation.GELU, x, y, y);
      kernels.binary(BinaryOperation.ADD, x, y, y);
      kernels.binary(BinaryOperation.ADD, x, weight, y);
      kernels.scale(x, 2, y);
      kernels.addScaled(x, 2, y);
      kernels.swiglu(x, y, z);
      kernels.sumTo(x, column);
      kernels.softmax(x, y);
      kernels.softmaxBackward(x, y, y);
      kernels.layerNorm(x, weight, null, 1e-5, y, mean, rstd);
      kernels.layerNormBackward(x, weight, mean, rstd, y, z, null, null);
      kernels.rmsNorm(x, weight, 1e-5, y, rstd);
      kernels.crossEntropy(x, targets, 0, 96, mean, rstd);
      kernels.crossEntropyBackward(x, targets, 0, mean, loss, y);
      kernels.rotary(q, angles, angles, false, out);
      kernels.attention(q, k, v, MASK, 1, out, logSumExp);
      kernels.adamW(ADAM, x, y, z, w, null);
      kernels.randomNormal(KEY, index, 0, 1, y);
      kernels.dropout(KEY, index, 0.1, x, y);
    }
  }
}
