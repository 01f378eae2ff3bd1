package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.bindings.cublas.cublasLtMatmulHeuristicResult_t;
import dev.heddle.simulated.cublas.GpuAccess;
import dev.heddle.simulated.cublas.SimulatedCublas;
import dev.heddle.simulated.memory.DeviceMemory;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Planted mistakes, each of which the simulated library must refuse with the reason. */
class SimulatedCublasMisuseTest {
  private static final int INVALID_VALUE = Cublas.CUBLAS_STATUS_INVALID_VALUE();
  private static final int NOT_SUPPORTED = Cublas.CUBLAS_STATUS_NOT_SUPPORTED();
  private static final long WORKSPACE = 1 << 16;

  private final DeviceMemory memory = new DeviceMemory(0, 1 << 22);
  private final SimulatedCublas simulation = new SimulatedCublas(GpuAccess.immediate(memory));
  private final CublasLibrary library = new CublasLibrary(simulation);
  private final Arena arena = Arena.ofConfined();
  private final MemorySegment result = arena.allocate(ValueLayout.JAVA_LONG);
  private final MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
  private final MemorySegment found = arena.allocate(cublasLtMatmulHeuristicResult_t.layout());
  private final long one = scalar(1);
  private final long zero = scalar(0);

  @AfterEach
  void close() {
    arena.close();
    memory.close();
  }

  private long scalar(float value) {
    return arena.allocateFrom(ValueLayout.JAVA_FLOAT, value).address();
  }

  private long created(Consumer<Long> create) {
    create.accept(result.address());
    return result.get(ValueLayout.JAVA_LONG, 0);
  }

  private void refused(Runnable call, int status, String reason) {
    assertThatThrownBy(call::run)
        .isInstanceOfSatisfying(
            CudaException.class, thrown -> assertThat(thrown.status()).isEqualTo(status));
    assertThat(simulation.refusals().getLast()).contains(reason);
  }

  /** A correct product of [4,5] by [5,3], to be spoilt. */
  private Gemm gemm() {
    Gemm gemm = new Gemm(Cublas.CUDA_R_32F(), Cublas.CUBLAS_COMPUTE_32F());
    gemm.m = 4;
    gemm.n = 3;
    gemm.k = 5;
    gemm.a = memory.allocate(4 * 20);
    gemm.lda = 4;
    gemm.b = memory.allocate(4 * 15);
    gemm.ldb = 5;
    gemm.c = memory.allocate(4 * 12);
    gemm.ldc = 4;
    gemm.batch = 1;
    return gemm;
  }

  private long blas() {
    long handle = created(library::create);
    library.setWorkspace(handle, memory.allocate(WORKSPACE), WORKSPACE);
    return handle;
  }

  private void refusedGemm(Consumer<Gemm> mistake, int status, String reason) {
    long handle = blas();
    Gemm gemm = gemm();
    library.gemm(handle, gemm, one, zero);
    mistake.accept(gemm);
    refused(() -> library.gemm(handle, gemm, one, zero), status, reason);
  }

  @Test
  void gemm_leadingDimensions_mustCoverTheRows() {
    refusedGemm(g -> g.lda = 3, INVALID_VALUE, "leading dimension of A is 3, less than its 4 rows");
    refusedGemm(
        g -> g.transposeA = 1, INVALID_VALUE, "leading dimension of A is 4, less than its 5");
    refusedGemm(g -> g.ldb = 4, INVALID_VALUE, "leading dimension of B is 4");
    refusedGemm(g -> g.ldc = 3, INVALID_VALUE, "leading dimension of C is 3");
  }

  @Test
  void gemm_pointersSizesAndCodes_areChecked() {
    refusedGemm(g -> g.a = 0, INVALID_VALUE, "A is null");
    refusedGemm(g -> g.b += 2, INVALID_VALUE, "not aligned to its elements of 4 bytes");
    refusedGemm(g -> g.k = 0, INVALID_VALUE, "columns");
    refusedGemm(g -> g.transposeB = 7, INVALID_VALUE, "transb is 7");
    long handle = blas();
    refused(() -> library.gemm(handle, gemm(), 0, zero), INVALID_VALUE, "alpha is null");
    refused(() -> library.gemm(0, gemm(), one, zero), 1, "the handle is null");
    refused(
        () -> library.gemm(handle + 8, gemm(), one, zero), INVALID_VALUE, "is no cublasHandle_t");
  }

  @Test
  void gemm_typesThatDoNotGoTogether_areNotSupported() {
    Gemm doubles = new Gemm(Cublas.CUDA_R_64F(), Cublas.CUBLAS_COMPUTE_32F());
    Gemm half = new Gemm(2, Cublas.CUBLAS_COMPUTE_32F());
    Gemm tf32 = new Gemm(Cublas.CUDA_R_16BF(), Cublas.CUBLAS_COMPUTE_32F_FAST_TF32());
    long handle = blas();
    refused(() -> library.gemm(handle, doubles, one, zero), NOT_SUPPORTED, "compute type F32");
    refused(() -> library.gemm(handle, half, one, zero), NOT_SUPPORTED, "data type 2");
    refused(() -> library.gemm(handle, tf32, one, zero), NOT_SUPPORTED, "compute type TF32");
  }

  /** A fault and not a status: on a GPU it would be an illegal address. */
  @Test
  void gemm_beyondTheEndOfAnArray_isAFaultThatNamesTheMatrix() {
    for (Consumer<Gemm> mistake :
        java.util.List.<Consumer<Gemm>>of(
            g -> g.a += 4, g -> g.ldb = 6, g -> g.c = memory.allocate(4 * 11))) {
      long handle = blas();
      Gemm gemm = gemm();
      mistake.accept(gemm);
      refused(
          () -> library.gemm(handle, gemm, one, zero),
          Cublas.CUBLAS_STATUS_INTERNAL_ERROR(),
          "over the end of the allocation");
      assertThat(simulation.refusals().getLast()).containsPattern("cublasGemmEx_64 [ABC]");
    }
  }

  @Test
  void batch_whoseResultsOverlap_isRefused() {
    long handle = blas();
    Gemm gemm = gemm();
    gemm.batch = 2;
    gemm.c = memory.allocate(4 * 24);
    gemm.strideC = 12;
    library.gemmStridedBatched(handle, gemm, one, zero);
    gemm.strideC = 4;
    gemm.ldc = 8;
    library.gemmStridedBatched(handle, gemm, one, zero);
    gemm.strideC = 8;
    refused(() -> library.gemmStridedBatched(handle, gemm, one, zero), INVALID_VALUE, "overlap");
    gemm.strideC = 0;
    refused(() -> library.gemmStridedBatched(handle, gemm, one, zero), INVALID_VALUE, "overlap");
  }

  @Test
  void workspace_misalignedOrLostToSetStream_isNoticed() {
    long handle = created(library::create);
    long workspace = memory.allocate(WORKSPACE);
    refused(
        () -> library.setWorkspace(handle, workspace + 64, 1024),
        INVALID_VALUE,
        "not aligned to 256");
    library.setWorkspace(handle, workspace, WORKSPACE);
    library.gemm(handle, gemm(), one, zero);
    assertThat(simulation.productsWithoutWorkspace()).isZero();
    // The order that loses it.
    library.setStream(handle, 0x10);
    library.gemm(handle, gemm(), one, zero);
    assertThat(simulation.productsWithoutWorkspace()).isEqualTo(1);
  }

  @Test
  void workspace_isScribbledOn() {
    long handle = created(library::create);
    long workspace = memory.allocate(WORKSPACE);
    library.setWorkspace(handle, workspace, WORKSPACE);
    MemorySegment bytes = memory.at(workspace, WORKSPACE, "test");
    bytes.fill((byte) 1);
    library.gemm(handle, gemm(), one, zero);
    assertThat(bytes.get(ValueLayout.JAVA_BYTE, 0)).isEqualTo((byte) 0xFF);
  }

  @Test
  void objects_destroyedTwice_areRefused() {
    long handle = created(library::create);
    library.destroy(handle);
    refused(() -> library.destroy(handle), INVALID_VALUE, "never created, or it was destroyed");
    long lt = created(library::ltCreate);
    library.ltDestroy(lt);
    refused(() -> library.ltDestroy(lt), INVALID_VALUE, "could be destroyed");
    long layout = created(at -> library.createLayout(at, Cublas.CUDA_R_32F(), 4, 3, 4));
    library.destroyLayout(layout);
    refused(() -> library.destroyLayout(layout), INVALID_VALUE, "cublasLtMatrixLayout_t");
  }

  // ---- cuBLASLt

  /** A correct biased product of [4,5] by [5,3] in F32, step by step, to be spoilt. */
  private final class LtProduct {
    final MatmulForm form = new MatmulForm();
    final long lt = created(library::ltCreate);
    final long a = memory.allocate(4 * 20);
    final long b = memory.allocate(4 * 15);
    final long d = memory.allocate(4 * 12);
    final long auxiliary = memory.allocate(4 * 24);
    final long workspace = memory.allocate(WORKSPACE);
    long bias = memory.allocate(4 * 4);
    long auxiliaryLeading = 8;
    int scaleType = Cublas.CUDA_R_32F();
    long workspaceBytes = WORKSPACE;

    LtProduct(int epilogue) {
      form.epilogue = epilogue;
    }

    void attribute(long description, int attribute, long value, int size) {
      result.set(ValueLayout.JAVA_LONG, 0, value);
      library.setDescription(description, attribute, result.address(), size);
    }

    MatmulPlan describe() {
      MatmulPlan plan = new MatmulPlan(form, 0);
      plan.description =
          created(at -> library.createDescription(at, Cublas.CUBLAS_COMPUTE_32F(), scaleType));
      attribute(plan.description, Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE(), form.epilogue, 4);
      attribute(plan.description, Cublas.CUBLASLT_MATMUL_DESC_BIAS_POINTER(), bias, 8);
      attribute(plan.description, Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER(), auxiliary, 8);
      attribute(
          plan.description, Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD(), auxiliaryLeading, 8);
      plan.layoutA = created(at -> library.createLayout(at, Cublas.CUDA_R_32F(), 4, 5, 4));
      plan.layoutB = created(at -> library.createLayout(at, Cublas.CUDA_R_32F(), 5, 3, 5));
      plan.layoutD = created(at -> library.createLayout(at, Cublas.CUDA_R_32F(), 4, 3, 4));
      return plan;
    }

    boolean search(MatmulPlan plan, long preference) {
      boolean is = library.findAlgorithm(lt, plan, preference, found.address(), count);
      plan.algorithm = found.address();
      return is;
    }

    void run(MatmulPlan plan, long at) {
      library.matmul(lt, plan, one, at, b, zero, d, workspace, workspaceBytes, 0);
    }
  }

  private long preference(int alignment) {
    long preference = created(library::createPreference);
    result.set(ValueLayout.JAVA_LONG, 0, WORKSPACE);
    library.setPreference(
        preference, Cublas.CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(), result.address(), 8);
    result.set(ValueLayout.JAVA_LONG, 0, alignment);
    library.setPreference(
        preference, Cublas.CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), result.address(), 4);
    return preference;
  }

  @Test
  void matmul_correct_isComputed() {
    LtProduct product = new LtProduct(Cublas.CUBLASLT_EPILOGUE_BIAS());
    memory.at(product.a, 80, "test").fill((byte) 0);
    memory.at(product.b, 60, "test").fill((byte) 0);
    for (int row = 0; row < 4; row++) {
      memory.at(product.bias, 16, "test").setAtIndex(ValueLayout.JAVA_FLOAT, row, row);
    }
    MatmulPlan plan = product.describe();
    assertThat(product.search(plan, preference(256))).isTrue();
    product.run(plan, product.a);
    MemorySegment d = memory.at(product.d, 48, "test");
    for (int i = 0; i < 12; i++) {
      assertThat(d.getAtIndex(ValueLayout.JAVA_FLOAT, i)).isEqualTo(i % 4);
    }
  }

  @Test
  void matmul_epilogueWithoutItsPointers_isRefused() {
    LtProduct product = new LtProduct(Cublas.CUBLASLT_EPILOGUE_BIAS());
    product.bias = 0;
    MatmulPlan plan = product.describe();
    refused(
        () -> product.search(plan, preference(256)),
        INVALID_VALUE,
        "bias, and its pointer is null");
    LtProduct aux = new LtProduct(Cublas.CUBLASLT_EPILOGUE_GELU_AUX_BIAS());
    aux.auxiliaryLeading = 4;
    MatmulPlan auxPlan = aux.describe();
    refused(() -> aux.search(auxPlan, preference(256)), INVALID_VALUE, "multiple of 8");
  }

  @Test
  void matmul_epiloguesAndScaleTypesThatDoNotFit_areNotSupported() {
    // RELU_AUX stores a mask of bits: nothing here uses it.
    LtProduct mask = new LtProduct(Cublas.CUBLASLT_EPILOGUE_RELU_AUX_BIAS());
    assertThat(mask.search(mask.describe(), preference(256))).isFalse();
    assertThat(simulation.refusals().getLast()).contains("epilogue 134 is not simulated");
    LtProduct scale = new LtProduct(Cublas.CUBLASLT_EPILOGUE_BIAS());
    scale.scaleType = Cublas.CUDA_R_64F();
    assertThat(scale.search(scale.describe(), preference(256))).isFalse();
    assertThat(simulation.refusals().getLast()).contains("with scale type F64");
  }

  @Test
  void matmul_algorithmOfAnotherFormOrAlignment_isRefused() {
    LtProduct product = new LtProduct(Cublas.CUBLASLT_EPILOGUE_BIAS());
    MatmulPlan plan = product.describe();
    refused(() -> product.search(plan, preference(3)), INVALID_VALUE, "wanted a power of two");
    assertThat(product.search(plan, preference(256))).isTrue();
    refused(
        () -> product.run(plan, product.a + 4),
        NOT_SUPPORTED,
        "for addresses aligned to 256 bytes");
    product.attribute(
        plan.description,
        Cublas.CUBLASLT_MATMUL_DESC_EPILOGUE(),
        Cublas.CUBLASLT_EPILOGUE_RELU_BIAS(),
        4);
    refused(() -> product.run(plan, product.a), NOT_SUPPORTED, "the algorithm was found for");
    plan.algorithm = arena.allocate(64, 8).address();
    refused(() -> product.run(plan, product.a), INVALID_VALUE, "no algorithm that was found");
  }

  @Test
  void matmul_withLessWorkspaceThanTheAlgorithmNeeds_isRefused() {
    LtProduct product = new LtProduct(Cublas.CUBLASLT_EPILOGUE_DEFAULT());
    MatmulPlan plan = product.describe();
    plan.layoutA = created(at -> library.createLayout(at, Cublas.CUDA_R_32F(), 4, 100, 4));
    plan.layoutB = created(at -> library.createLayout(at, Cublas.CUDA_R_32F(), 100, 3, 100));
    assertThat(product.search(plan, preference(256))).isTrue();
    assertThat(cublasLtMatmulHeuristicResult_t.workspaceSize(found)).isPositive();
    product.workspaceBytes = 0;
    refused(() -> product.run(plan, product.a), INVALID_VALUE, "needs a workspace of");
  }
}
