package dev.heddle.simulated.cublas;

import dev.heddle.bindings.cublas.Cublas;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * The functions of cuBLAS, by their C names and with their C arguments, pointers as numbers. Each
 * returns a status or throws a {@link Refusal}.
 */
final class BlasFunctions {
  private static final long WORKSPACE_ALIGNMENT = 256;

  /** As much of a workspace as products scribble on. */
  private static final long SCRIBBLED = 4096;

  private static final int ORDINARY_MODES = 3;

  private final GpuAccess gpu;
  private final int version;
  private final ObjectTable<BlasHandle> handles;

  /** Products of handles that nobody gave a workspace, which the library would then allocate. */
  private int productsWithoutWorkspace;

  BlasFunctions(GpuAccess gpu, int version, Arena arena) {
    this.gpu = gpu;
    this.version = version;
    this.handles = new ObjectTable<>("cublasHandle_t", arena);
  }

  int liveHandles() {
    return handles.size();
  }

  void forgetLiveObjects() {
    handles.clear();
  }

  int productsWithoutWorkspace() {
    return productsWithoutWorkspace;
  }

  int cublasCreate_v2(long result) {
    handles.create(result, new BlasHandle(currentDevice(gpu)));
    return 0;
  }

  int cublasDestroy_v2(long handle) {
    handle(handle);
    handles.destroy(handle);
    return 0;
  }

  int cublasGetVersion_v2(long handle, long result) {
    Refusal.unless(result != 0, "the result pointer is null");
    MemorySegment.ofAddress(result)
        .reinterpret(Integer.BYTES)
        .set(ValueLayout.JAVA_INT_UNALIGNED, 0, version);
    return 0;
  }

  /** As the manual says: also puts the handle back on the library's own workspace. */
  int cublasSetStream_v2(long handle, long stream) {
    BlasHandle state = handle(handle);
    state.stream = stream;
    state.workspace = 0;
    state.workspaceBytes = 0;
    return 0;
  }

  int cublasSetWorkspace_v2(long handle, long workspace, long byteSize) {
    BlasHandle state = handle(handle);
    Refusal.unless(
        workspace % WORKSPACE_ALIGNMENT == 0,
        "the workspace at 0x%x is not aligned to %d bytes",
        workspace,
        WORKSPACE_ALIGNMENT);
    Refusal.unless(byteSize == 0 || workspace != 0, "a null workspace of %d bytes", byteSize);
    state.workspace = workspace;
    state.workspaceBytes = byteSize;
    return 0;
  }

  int cublasSetMathMode(long handle, int mode) {
    BlasHandle state = handle(handle);
    int kind = mode & ~Cublas.CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION();
    Refusal.unless(kind >= 0 && kind <= ORDINARY_MODES, "math mode %d", mode);
    state.mathMode = mode;
    return 0;
  }

  int cublasGemmEx_64(
      long handle,
      int transposeA,
      int transposeB,
      long m,
      long n,
      long k,
      long alpha,
      long a,
      int typeA,
      long lda,
      long b,
      int typeB,
      long ldb,
      long beta,
      long c,
      int typeC,
      long ldc,
      int computeType,
      int algorithm) {
    return multiply(
        "cublasGemmEx_64",
        handle(handle),
        transposeA,
        transposeB,
        m,
        n,
        k,
        alpha,
        a,
        typeA,
        lda,
        0,
        b,
        typeB,
        ldb,
        0,
        beta,
        c,
        typeC,
        ldc,
        0,
        1,
        computeType,
        algorithm);
  }

  int cublasGemmStridedBatchedEx_64(
      long handle,
      int transposeA,
      int transposeB,
      long m,
      long n,
      long k,
      long alpha,
      long a,
      int typeA,
      long lda,
      long strideA,
      long b,
      int typeB,
      long ldb,
      long strideB,
      long beta,
      long c,
      int typeC,
      long ldc,
      long strideC,
      long batch,
      int computeType,
      int algorithm) {
    return multiply(
        "cublasGemmStridedBatchedEx_64",
        handle(handle),
        transposeA,
        transposeB,
        m,
        n,
        k,
        alpha,
        a,
        typeA,
        lda,
        strideA,
        b,
        typeB,
        ldb,
        strideB,
        beta,
        c,
        typeC,
        ldc,
        strideC,
        batch,
        computeType,
        algorithm);
  }

  private int multiply(
      String call,
      BlasHandle state,
      int operationA,
      int operationB,
      long m,
      long n,
      long k,
      long alpha,
      long a,
      int typeA,
      long lda,
      long strideA,
      long b,
      int typeB,
      long ldb,
      long strideB,
      long beta,
      long c,
      int typeC,
      long ldc,
      long strideC,
      long batch,
      int computeType,
      int algorithm) {
    boolean transposeA = transposed("transa", operationA);
    boolean transposeB = transposed("transb", operationB);
    ElementType elementA = ElementType.of(typeA);
    ElementType elementB = ElementType.of(typeB);
    ElementType elementC = ElementType.of(typeC);
    ComputeType type = ComputeType.of(computeType, elementA, elementB, elementC);
    Refusal.unless(
        algorithm == Cublas.CUBLAS_GEMM_DEFAULT(), "algorithm %d; wanted the default", algorithm);
    // Scalars are read now, as the library does in host pointer mode.
    ElementType scale = type == ComputeType.F64 ? ElementType.F64 : ElementType.F32;
    double alphaValue = scale.scalar(alpha, "alpha");
    double betaValue = scale.scalar(beta, "beta");
    if (state.workspaceBytes == 0) {
      productsWithoutWorkspace++;
    }
    Product product =
        new Product(
            call,
            type,
            new Matrix("A", elementA, a, transposeA ? k : m, transposeA ? m : k, lda),
            transposeA,
            new Matrix("B", elementB, b, transposeB ? n : k, transposeB ? k : n, ldb),
            transposeB,
            new Matrix("C", elementC, c, m, n, ldc),
            alphaValue,
            betaValue,
            batch,
            strideA,
            strideB,
            strideC,
            null,
            null,
            null,
            state.workspace,
            Math.min(SCRIBBLED, state.workspaceBytes));
    product.check();
    return product.enqueue(gpu, state.stream);
  }

  static boolean transposed(String name, int operation) {
    Refusal.unless(
        operation == Cublas.CUBLAS_OP_N()
            || operation == Cublas.CUBLAS_OP_T()
            || operation == Cublas.CUBLAS_OP_C(),
        "%s is %d",
        name,
        operation);
    return operation != Cublas.CUBLAS_OP_N();
  }

  private BlasHandle handle(long address) {
    if (address == 0) {
      throw Refusal.uninitialised("the handle is null");
    }
    BlasHandle state = handles.get(address);
    int current = gpu.currentDevice();
    Refusal.unless(
        current == state.device,
        "the handle is GPU %d's, and the current context is that of %d",
        state.device,
        current);
    return state;
  }

  /** The GPU that a new handle is for. */
  static int currentDevice(GpuAccess gpu) {
    int current = gpu.currentDevice();
    if (current < 0) {
      throw Refusal.uninitialised("no context is current on this thread");
    }
    return current;
  }
}
