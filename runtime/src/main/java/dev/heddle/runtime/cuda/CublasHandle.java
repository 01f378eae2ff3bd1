package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * A cuBLAS and a cuBLASLt handle for one stream, with the workspace that both use. Products of one
 * stream run one after the other, so they may share it; those of two streams may not.
 *
 * <p>Made, used and closed with the device's context current. Not thread-safe: it belongs to the
 * rank thread, like its device.
 */
final class CublasHandle implements ProductQueue, AutoCloseable {
  /** What the libraries demand of a workspace. */
  private static final long WORKSPACE_ALIGNMENT = 256;

  private static final int KEPT_PLANS = 1024;

  private static final long ALPHA = 0;
  private static final long BETA = 8;
  private static final long SCALARS = 16;

  private final CublasLibrary library;
  private final long stream;
  private final Arena arena = Arena.ofShared();
  private final MemorySegment scalars = arena.allocate(SCALARS, Double.BYTES);
  private final Block workspace;
  private final long workspaceAddress;
  private final long workspaceBytes;
  private final int version;
  private long blas;
  private long lt;
  private @Nullable MatmulPlans plans;

  /**
   * @param stream address of the stream that all products go to
   * @param memory the device's pool, for the workspace
   */
  CublasHandle(CublasLibrary library, long stream, MemoryPool memory, ProductOptions options) {
    this.library = library;
    this.stream = stream;
    workspace = memory.borrow(options.workspaceBytes());
    long start = workspace.segment().address();
    workspaceAddress = (start + WORKSPACE_ALIGNMENT - 1) & -WORKSPACE_ALIGNMENT;
    workspaceBytes = options.workspaceBytes() - (workspaceAddress - start);
    boolean complete = false;
    try {
      MemorySegment result = arena.allocate(ValueLayout.JAVA_LONG);
      library.create(result.address());
      blas = result.get(ValueLayout.JAVA_LONG, 0);
      library.setStream(blas, stream);
      library.setWorkspace(blas, workspaceAddress, workspaceBytes);
      // Long bf16 sums are added up in F32, however they are cut in parts.
      library.setMathMode(blas, Cublas.CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION());
      library.getVersion(blas, result.address());
      version = result.get(ValueLayout.JAVA_INT, 0);
      library.ltCreate(result.address());
      lt = result.get(ValueLayout.JAVA_LONG, 0);
      plans = new MatmulPlans(library, lt, arena, workspaceBytes, KEPT_PLANS);
      complete = true;
    } finally {
      if (!complete) {
        close();
      }
    }
  }

  /** Address of the stream. */
  long stream() {
    return stream;
  }

  /** The library's version, such as {@code 12.4.5}. */
  String version() {
    return version / 10000 + "." + version / 100 % 100 + "." + version % 100;
  }

  /** The kept cuBLASLt products. */
  MatmulPlans plans() {
    MatmulPlans open = plans;
    if (open == null) {
      throw new IllegalStateException(
          "cuBLAS is used after its device was closed: close the device last");
    }
    return open;
  }

  @Override
  public String name() {
    return "cuBLAS " + version();
  }

  @Override
  public void multiply(Gemm gemm, double alpha, double beta) {
    setScalars(gemm.type, alpha, beta);
    long alphaAt = scalars.address() + ALPHA;
    long betaAt = scalars.address() + BETA;
    if (gemm.batch == 1) {
      library.gemm(blas, gemm, alphaAt, betaAt);
    } else {
      library.gemmStridedBatched(blas, gemm, alphaAt, betaAt);
    }
  }

  @Override
  public boolean multiply(MatmulForm form, long bias, long auxiliary, long a, long b, long d) {
    MatmulPlan plan = plans().plan(form, bias, auxiliary);
    if (plan == null) {
      return false;
    }
    multiply(plan, a, b, d);
    return true;
  }

  /** D = epilogue(op(A) op(B)) on the stream. The scalars are F32: there is no plan in F64. */
  void multiply(MatmulPlan plan, long a, long b, long d) {
    setScalars(plan.form.type, 1, 0);
    library.matmul(
        lt,
        plan,
        scalars.address() + ALPHA,
        a,
        b,
        scalars.address() + BETA,
        d,
        workspaceAddress,
        workspaceBytes,
        stream);
  }

  private void setScalars(int type, double alpha, double beta) {
    if (type == Cublas.CUDA_R_64F()) {
      scalars.set(ValueLayout.JAVA_DOUBLE, ALPHA, alpha);
      scalars.set(ValueLayout.JAVA_DOUBLE, BETA, beta);
    } else {
      scalars.set(ValueLayout.JAVA_FLOAT, ALPHA, (float) alpha);
      scalars.set(ValueLayout.JAVA_FLOAT, BETA, (float) beta);
    }
  }

  /**
   * Gives handles, descriptors and workspace back, each whatever the others say. The stream's work
   * must be done. Where that work has lost the GPU's context, what the library then says is not
   * repeated: the first failure has told it.
   */
  @Override
  public void close() {
    if (!arena.scope().isAlive()) {
      return;
    }
    RuntimeException failure = null;
    MatmulPlans ending = plans;
    if (ending != null) {
      plans = null;
      failure = attempt(ending::close, failure);
    }
    if (lt != 0) {
      failure = attempt(() -> library.ltDestroy(lt), failure);
      lt = 0;
    }
    if (blas != 0) {
      failure = attempt(() -> library.destroy(blas), failure);
      blas = 0;
    }
    workspace.release();
    arena.close();
    if (failure != null) {
      throw failure;
    }
  }

  private static @Nullable RuntimeException attempt(
      Runnable end, @Nullable RuntimeException before) {
    try {
      end.run();
    } catch (CudaException thrown) {
      if (!CublasStatus.followsFromEarlierWork(thrown.status())) {
        if (before == null) {
          return thrown;
        }
        before.addSuppressed(thrown);
      }
    }
    return before;
  }
}
