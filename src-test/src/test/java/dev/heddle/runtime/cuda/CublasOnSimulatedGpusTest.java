package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.simulated.cublas.GpuAccess;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.driver.SimulatedGpus;
import dev.heddle.simulated.driver.SimulatedOptions;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Products on {@link CudaDevice}s: production's driver and cuBLAS calls on simulated GPUs. */
class CublasOnSimulatedGpusTest {
  private final SimulatedCublas simulation = new SimulatedCublas(GpuAccess.installed());
  private SimulatedGpus gpus;
  private NativeLibrary.Substitution substitution;

  @BeforeEach
  void install() {
    gpus = SimulatedGpus.install(2, SimulatedOptions.lazily());
    substitution = NativeLibrary.CUBLAS.substitute(simulation);
  }

  /** Closing the GPUs fails if device memory, a stream or an event was not given back. */
  @AfterEach
  void takeAway() {
    substitution.close();
    gpus.close();
    assertThat(simulation.liveHandles()).isZero();
    assertThat(simulation.liveLtObjects()).isZero();
  }

  /** A table whose only kernels are products. */
  private static Kernels productsOnly(CudaDevice device, DType dtype) {
    CublasProducts products = new CublasProducts(device, dtype);
    return (Kernels)
        Proxy.newProxyInstance(
            Kernels.class.getClassLoader(),
            new Class<?>[] {Kernels.class},
            (proxy, method, arguments) -> {
              try {
                return CublasProducts.class
                    .getMethod(method.getName(), method.getParameterTypes())
                    .invoke(products, arguments);
              } catch (InvocationTargetException thrown) {
                throw thrown.getCause();
              }
            });
  }

  private static CudaDevice open(int ordinal) {
    return CudaDevice.open(ordinal, CublasOnSimulatedGpusTest::productsOnly);
  }

  @Test
  void products_onTwoGpus_useTheirOwnHandlesStreamsAndMemory() {
    try (CudaDevice first = open(0);
        CudaDevice second = open(1);
        MemoryScope scope = MemoryScope.open()) {
      NDArray[] results = new NDArray[2];
      CudaDevice[] devices = {first, second};
      for (int i = 0; i < 2; i++) {
        NDArray a = NDArray.of(devices[i], DType.F32, Shape.of(2, 3), 1, 2, 3, 4, 5, 6);
        NDArray b = NDArray.of(devices[i], DType.F32, Shape.of(2, 3), 1, 0, i, 0, 1, 1);
        results[i] = NDArray.empty(devices[i], DType.F32, 2, 2);
        a.kernels().gemm(a, false, b, true, 1, 0, results[i]);
      }
      assertThat(gpus.counters().launches()).as("lazy").doesNotContainKey("cublasGemmEx_64");
      assertThat(results[0].toDoubles()).containsExactly(1, 5, 4, 11);
      assertThat(results[1].toDoubles()).containsExactly(4, 5, 10, 11);
      assertThat(gpus.counters().launches()).containsEntry("cublasGemmEx_64", 2L);
      assertThat(simulation.liveHandles()).isEqualTo(2);
      assertThat(simulation.productsWithoutWorkspace()).isZero();
      assertThat(simulation.refusals()).isEmpty();
    }
  }

  @Test
  void products_ofAllDtypes_shareTheStreamsHandle() {
    try (CudaDevice device = open(0);
        MemoryScope scope = MemoryScope.open()) {
      for (DType dtype : new DType[] {DType.F32, DType.BF16, DType.F64}) {
        NDArray x = NDArray.of(device, dtype, Shape.of(2, 2), 1, 2, 3, 4);
        NDArray y = NDArray.empty(device, dtype, 2, 2);
        x.kernels().gemm(x, false, x, true, 2, 0, y);
        assertThat(y.toDoubles()).containsExactly(10, 22, 22, 50);
        NDArray stack = NDArray.of(device, dtype, Shape.of(2, 1, 2), 1, 2, 3, 4);
        NDArray squares = NDArray.empty(device, dtype, 2, 1, 1);
        x.kernels().batchedGemm(stack, false, stack, true, 1, 0, squares);
        assertThat(squares.toDoubles()).containsExactly(5, 25);
      }
      assertThat(simulation.liveHandles()).isEqualTo(1);
    }
  }

  /** Whatever was current before, a product makes its own GPU's context current. */
  @Test
  void product_whileAnotherGpuIsCurrent_goesToItsOwn() {
    try (CudaDevice first = open(0);
        CudaDevice second = open(1);
        MemoryScope scope = MemoryScope.open()) {
      NDArray a = NDArray.of(first, DType.F32, Shape.of(1, 1), 3);
      NDArray y = NDArray.empty(first, DType.F32, 1, 1);
      a.kernels().gemm(a, false, a, false, 1, 0, y);
      second.context().makeCurrent();
      a.kernels().gemm(a, false, a, false, 1, 1, y);
      assertThat(y.item()).isEqualTo(18);
    }
  }

  @Test
  void graph_ofProducts_isReplayedOnNewValues() {
    try (CudaDevice device = open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, DType.F32, Shape.of(1, 2), 1, 2);
      NDArray w = NDArray.of(device, DType.F32, Shape.of(2, 2), 1, 0, 0, 1);
      NDArray bias = NDArray.of(device, DType.F32, Shape.of(2), 10, 20);
      NDArray y = NDArray.empty(device, DType.F32, 1, 2);
      NDArray z = NDArray.empty(device, DType.F32, 1, 2);
      Runnable step =
          () -> {
            x.kernels().linear(x, w, bias, UnaryOperation.IDENTITY, y, null);
            x.kernels().gemm(y, false, w, false, 2, 0, z);
          };
      step.run();
      assertThat(z.toDoubles()).containsExactly(22, 44);
      int searches = simulation.calls("cublasLtMatmulAlgoGetHeuristic");
      try (CudaGraph graph = device.capture(step)) {
        // What the scalars' memory holds later is not what was captured.
        x.kernels().gemm(y, false, w, false, 7, 0, z);
        x.writeDoubles(5, 6);
        graph.launch();
        assertThat(z.toDoubles()).containsExactly(30, 52);
        bias.writeDoubles(0, 0);
        graph.launch();
        assertThat(z.toDoubles()).containsExactly(10, 12);
      }
      assertThat(simulation.calls("cublasLtMatmulAlgoGetHeuristic")).isEqualTo(searches);
    }
  }

  /** Two products make nothing but two launches: the host neither waits nor allocates. */
  @Test
  void steadyProducts_neitherWaitNorAllocate() {
    try (CudaDevice device = open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, DType.BF16, Shape.of(2, 2), 1, 2, 3, 4);
      NDArray bias = NDArray.of(device, DType.BF16, Shape.of(2), 1, 1);
      NDArray y = NDArray.empty(device, DType.BF16, 2, 2);
      Runnable step =
          () -> {
            x.kernels().linear(x, x, bias, UnaryOperation.IDENTITY, y, null);
            x.kernels().gemm(x, false, x, false, 1, 1, y);
          };
      step.run();
      device.synchronize();
      var before = gpus.counters();
      for (int i = 0; i < 10; i++) {
        step.run();
      }
      assertThat(gpus.counters().synchronizations()).isEqualTo(before.synchronizations());
      assertThat(gpus.counters().allocations()).isEqualTo(before.allocations());
      device.synchronize();
      assertThat(gpus.counters().totalLaunches() - before.totalLaunches()).isEqualTo(20);
    }
  }

  @Test
  void device_withoutCublas_saysWhatIsMissingOnlyWhenAProductIsWanted() {
    try (NativeLibrary.Substitution none =
            NativeLibrary.CUBLAS.substitute(name -> java.util.Optional.empty());
        CudaDevice device = open(0);
        MemoryScope scope = MemoryScope.open()) {
      assertThat(NDArray.of(device, DType.F32, Shape.of(1), 3).toDoubles()).containsExactly(3);
      assertThatThrownBy(() -> device.kernels(DType.F32))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("CUDA 12 or 13");
    }
  }

  @Test
  void product_thatFails_leavesTheDeviceUsable() {
    try (CudaDevice device = open(0);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.of(device, DType.F32, Shape.of(1, 1), 3);
      NDArray y = NDArray.empty(device, DType.F32, 1, 1);
      simulation.failNext("cublasCreate_v2", Cublas.CUBLAS_STATUS_ALLOC_FAILED());
      assertThatThrownBy(() -> x.kernels().gemm(x, false, x, false, 1, 0, y))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("CUBLAS_STATUS_ALLOC_FAILED")
          .hasMessageContaining("smaller batch");
      x.kernels().gemm(x, false, x, false, 1, 0, y);
      assertThat(y.item()).isEqualTo(9);
    }
  }
}
