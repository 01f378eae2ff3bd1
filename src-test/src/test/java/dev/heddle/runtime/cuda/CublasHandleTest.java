package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.MemoryScope;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.management.ManagementFactory;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Handles, workspaces and the cache of cuBLASLt products, on the simulated cuBLAS. */
class CublasHandleTest {
  private static final String HEURISTIC = "cublasLtMatmulAlgoGetHeuristic";
  private static final ProductOptions EXACT = new ProductOptions(false, false, 1 << 20);

  private static void linear(ProductsRig rig, NDArray x, NDArray w, NDArray bias, NDArray y) {
    rig.kernels(DType.F32).linear(x, w, bias, UnaryOperation.IDENTITY, y, null);
  }

  @Test
  void linear_sameFormAgain_asksForNoAlgorithmAndMakesNoDescriptor() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = rig.ones(DType.F32, 16, 32);
      NDArray w = rig.ones(DType.F32, 8, 32);
      NDArray bias = rig.ones(DType.F32, 8);
      NDArray y = rig.array(DType.F32, 16, 8);
      linear(rig, x, w, bias, y);
      assertThat(rig.simulation().calls(HEURISTIC)).isEqualTo(1);
      assertThat(rig.handle().plans().searches()).isEqualTo(1);
      int live = rig.simulation().liveLtObjects();
      int calls = rig.simulation().calls();
      for (int i = 0; i < 5; i++) {
        linear(rig, x, w, bias, y);
      }
      assertThat(rig.simulation().calls() - calls).as("one call a product").isEqualTo(5);
      assertThat(rig.simulation().calls(HEURISTIC)).isEqualTo(1);
      assertThat(rig.simulation().liveLtObjects()).isEqualTo(live);
    }
  }

  @Test
  void linear_otherArraysOfTheSameForm_onlyMoveThePointer() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = rig.ones(DType.F32, 16, 32);
      NDArray w = rig.ones(DType.F32, 8, 32);
      NDArray ones = rig.ones(DType.F32, 8);
      NDArray twos = NDArray.full(rig, DType.F32, Shape.of(8), 2);
      NDArray y = rig.array(DType.F32, 16, 8);
      NDArray z = rig.array(DType.F32, 16, 8);
      linear(rig, x, w, ones, y);
      int before = rig.simulation().calls();
      linear(rig, x, w, twos, z);
      assertThat(rig.simulation().calls() - before).as("the attribute, the product").isEqualTo(2);
      assertThat(z.toDoubles()[0]).isEqualTo(y.toDoubles()[0] + 1);
    }
  }

  @Test
  void linear_lessAlignedPointers_areAnotherForm() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      NDArray long1 = rig.ones(DType.F32, 16 * 32 + 1);
      NDArray w = rig.ones(DType.F32, 8, 32);
      NDArray bias = rig.ones(DType.F32, 8);
      NDArray y = rig.array(DType.F32, 16, 8);
      linear(rig, long1.slice(0, 0, 512).reshape(16, 32), w, bias, y);
      linear(rig, long1.slice(0, 1, 513).reshape(16, 32), w, bias, y);
      assertThat(rig.simulation().calls(HEURISTIC)).isEqualTo(2);
      assertThat(rig.simulation().refusals()).isEmpty();
      assertThat(y.toDoubles()[0]).isEqualTo(33);
    }
  }

  @Test
  void plans_moreFormsThanAreKept_dropTheOneUsedLongestAgo() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      MatmulPlans plans = rig.handle().plans();
      NDArray w = rig.ones(DType.F32, 8, 32);
      NDArray bias = rig.ones(DType.F32, 8);
      NDArray all = rig.ones(DType.F32, 1100, 32);
      NDArray out = rig.array(DType.F32, 1100, 8);
      for (int rows = 1; rows <= 1100; rows++) {
        linear(rig, all.slice(0, 0, rows), w, bias, out.slice(0, 0, rows));
      }
      rig.synchronize();
      assertThat(plans.size()).isEqualTo(1024);
      assertThat(plans.searches()).isEqualTo(1100);
      // Kept: three layouts and a description each, the preference, the handle.
      assertThat(rig.simulation().liveLtObjects()).isEqualTo(4 * 1024 + 2);
      linear(rig, all.slice(0, 0, 1000), w, bias, out.slice(0, 0, 1000));
      assertThat(plans.searches()).isEqualTo(1100);
      linear(rig, all.slice(0, 0, 1), w, bias, out.slice(0, 0, 1));
      assertThat(plans.searches()).isEqualTo(1101);
      assertThat(out.toDoubles()).containsOnly(33);
    }
  }

  /**
   * Native functions that return 0 stand for those of a product, so that only what production
   * allocates is counted and not what the simulation does.
   */
  @Test
  void products_inASteadyState_allocateNothing() {
    Set<String> hot =
        Set.of(
            "cublasGemmEx_64",
            "cublasGemmStridedBatchedEx_64",
            "cublasLtMatmul",
            "cublasLtMatmulDescSetAttribute");
    SymbolLookup system = Linker.nativeLinker().defaultLookup();
    try (ProductsRig rig =
            new ProductsRig(
                "rig",
                EXACT,
                simulated ->
                    name ->
                        hot.contains(name) ? system.find("sched_yield") : simulated.find(name));
        MemoryScope scope = MemoryScope.open()) {
      // The description's attributes stay at their defaults: a product without a bias.
      CublasProducts products = rig.products(DType.F32);
      NDArray x = rig.ones(DType.F32, 16, 8);
      NDArray w = rig.ones(DType.F32, 8, 8);
      NDArray bias = rig.ones(DType.F32, 8);
      NDArray other = rig.ones(DType.F32, 8);
      NDArray y = rig.array(DType.F32, 16, 8);
      NDArray stack = rig.ones(DType.F32, 3, 8, 8);
      NDArray result = rig.array(DType.F32, 3, 8, 8);
      Runnable step =
          () -> {
            products.gemm(x, false, w, true, 1, 0, y);
            products.batchedGemm(stack, false, stack, true, 1, 0, result);
            products.linear(x, w, bias, UnaryOperation.IDENTITY, y, null);
            products.linear(x, w, other, UnaryOperation.IDENTITY, y, null);
          };
      com.sun.management.ThreadMXBean threads =
          (com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean();
      long fewest = Long.MAX_VALUE;
      // Compiled code allocates nothing; until it is there, the interpreter may box.
      for (int round = 0; round < 200 && fewest > 0; round++) {
        long start = threads.getCurrentThreadAllocatedBytes();
        for (int i = 0; i < 200; i++) {
          step.run();
        }
        fewest = Math.min(fewest, threads.getCurrentThreadAllocatedBytes() - start);
      }
      assertThat(fewest).as("bytes in 800 products").isZero();
      assertThat(rig.handle().plans().searches()).isEqualTo(1);
    }
  }

  @Test
  void products_ofTwoStreams_haveAHandleAndAWorkspaceEach() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      NDArray a = rig.ones(DType.F32, 4, 4);
      NDArray y = rig.array(DType.F32, 4, 4);
      NDArray z = rig.array(DType.F32, 4, 4);
      NDArray wide = rig.array(DType.F64, 1, 1);
      long live = rig.memory().liveBytes();
      Kernels kernels = rig.kernels(DType.F32);
      kernels.gemm(a, false, a, false, 1, 0, y);
      rig.useStream(1);
      kernels.gemm(a, false, a, false, 2, 0, z);
      rig.useStream(0);
      kernels.gemm(a, false, a, false, 1, 0, y);
      assertThat(rig.queued(0)).isEqualTo(2);
      assertThat(rig.queued(1)).isEqualTo(1);
      rig.kernels(DType.F64).gemm(wide, false, wide, false, 1, 0, rig.array(DType.F64, 1, 1));
      assertThat(rig.streams().size()).isEqualTo(2);
      assertThat(rig.simulation().liveHandles()).isEqualTo(2);
      assertThat(rig.memory().liveBytes() - live).isBetween(2L << 20, (2L << 20) + 4096);
      assertThat(z.toDoubles()).containsOnly(8);
      assertThat(rig.simulation().productsWithoutWorkspace()).isZero();
    }
  }

  @Test
  void call_thatFails_saysCallArgumentsStatusAndWhatToDo() {
    try (ProductsRig rig = new ProductsRig("rig");
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = rig.ones(DType.F32, 5, 7);
      NDArray w = rig.ones(DType.F32, 3, 7);
      NDArray bias = rig.ones(DType.F32, 3);
      NDArray y = rig.array(DType.F32, 5, 3);
      Kernels kernels = rig.kernels(DType.F32);
      rig.simulation().failNext("cublasGemmEx_64", Cublas.CUBLAS_STATUS_EXECUTION_FAILED());
      assertThatThrownBy(() -> kernels.gemm(x, false, w, true, 1, 0, y))
          .isInstanceOfSatisfying(
              CudaException.class,
              thrown -> {
                assertThat(thrown.status()).isEqualTo(Cublas.CUBLAS_STATUS_EXECUTION_FAILED());
                assertThat(thrown.errorName()).isEqualTo("CUBLAS_STATUS_EXECUTION_FAILED");
                assertThat(thrown.call()).isEqualTo("cublasGemmEx_64");
              })
          .hasMessageContaining("m 3, n 5, k 7")
          .hasMessageContaining("lda 7")
          .hasMessageContaining("CUDA_LAUNCH_BLOCKING=1");
      rig.simulation().failNext("cublasLtMatmul", Cublas.CUBLAS_STATUS_ARCH_MISMATCH());
      assertThatThrownBy(() -> linear(rig, x, w, bias, y))
          .isInstanceOf(CudaException.class)
          .hasMessageStartingWith("cublasLtMatmul(transa 1, transb 0, m 3, n 5, k 7,")
          .hasMessageContaining("CUBLAS_STATUS_ARCH_MISMATCH (8)")
          .hasMessageContaining("use F32");
      rig.simulation().failNext(HEURISTIC, 77);
      NDArray fewer = x.slice(0, 0, 2);
      assertThatThrownBy(() -> linear(rig, fewer, w, bias, rig.array(DType.F32, 2, 3)))
          .isInstanceOf(CudaException.class)
          .hasMessageContaining("CUBLAS_STATUS 77");
      // What failed is not kept half made: the next call starts over.
      NDArray again = rig.array(DType.F32, 2, 3);
      linear(rig, fewer, w, bias, again);
      assertThat(again.toDoubles()).containsOnly(8);
    }
  }

  @Test
  void handle_thatCannotBeMade_leavesNothing() {
    for (String call :
        new String[] {
          "cublasCreate_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasLtCreate"
        }) {
      try (ProductsRig rig = new ProductsRig("rig")) {
        rig.simulation().failNext(call, Cublas.CUBLAS_STATUS_NOT_INITIALIZED());
        assertThatThrownBy(rig::handle)
            .as(call)
            .isInstanceOf(CudaException.class)
            .hasMessageStartingWith(call)
            .hasMessageContaining("heddle doctor");
        assertThat(rig.memory().liveBytes()).isZero();
        assertThat(rig.simulation().liveHandles()).isZero();
      }
    }
  }

  /** On a GPU whose context is lost every call fails; the first failure has been told. */
  @Test
  void close_afterWorkThatFailed_givesAllBackInSilence() {
    for (int status :
        new int[] {
          Cublas.CUBLAS_STATUS_INTERNAL_ERROR(), Cublas.CUBLAS_STATUS_EXECUTION_FAILED()
        }) {
      try (ProductsRig rig = new ProductsRig("rig")) {
        rig.handle();
        rig.simulation().failNext("cublasLtDestroy", status);
        rig.simulation().failNext("cublasDestroy_v2", status);
        rig.streams().close();
        assertThat(rig.memory().liveBytes()).isZero();
        rig.simulation().forgetLiveObjects();
      }
    }
  }

  @Test
  void close_thatIsRefused_saysSoAndGivesTheRestBack() {
    try (ProductsRig rig = new ProductsRig("rig")) {
      rig.handle();
      rig.useStream(1);
      rig.handle();
      rig.simulation().failNext("cublasLtDestroy", Cublas.CUBLAS_STATUS_INVALID_VALUE());
      assertThatThrownBy(rig.streams()::close)
          .isInstanceOf(CudaException.class)
          .hasMessageStartingWith("cublasLtDestroy(): CUBLAS_STATUS_INVALID_VALUE");
      assertThat(rig.memory().liveBytes()).isZero();
      assertThat(rig.simulation().liveHandles()).isZero();
      assertThat(rig.simulation().liveLtObjects()).isEqualTo(1);
      rig.simulation().forgetLiveObjects();
    }
  }

  @Test
  void options_fromProperties_andRefusals() {
    assertThat(ProductOptions.ofSystemProperties()).isEqualTo(ProductOptions.exact());
    assertThat(ProductOptions.exact().workspaceBytes()).isEqualTo(32L << 20);
    System.setProperty(ProductOptions.TF32_PROPERTY, "true");
    System.setProperty(ProductOptions.WORKSPACE_PROPERTY, "4");
    try {
      assertThat(ProductOptions.ofSystemProperties())
          .isEqualTo(new ProductOptions(true, false, 4L << 20));
      System.setProperty(ProductOptions.TF32_PROPERTY, "yes");
      assertThatThrownBy(ProductOptions::ofSystemProperties)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("heddle.cuda.tf32 is 'yes'; wanted true or false");
      System.setProperty(ProductOptions.TF32_PROPERTY, "false");
      for (String bad : new String[] {"0", "much"}) {
        System.setProperty(ProductOptions.WORKSPACE_PROPERTY, bad);
        assertThatThrownBy(ProductOptions::ofSystemProperties)
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("heddle.cuda.workspace-mib is '" + bad + "'");
      }
    } finally {
      System.clearProperty(ProductOptions.TF32_PROPERTY);
      System.clearProperty(ProductOptions.WORKSPACE_PROPERTY);
    }
    assertThatThrownBy(() -> new ProductOptions(false, false, 100))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("100 bytes");
  }

  @Test
  void products_ofIntegers_areRefused() {
    try (ProductsRig rig = new ProductsRig("rig")) {
      assertThatThrownBy(() -> new CublasProducts(rig, DType.I32, rig.streams(), () -> 0))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("I32; wanted F32, BF16 or F64");
      assertThat(rig.products(DType.F32).name()).isEqualTo("cuBLAS 12.4.5");
    }
  }
}
