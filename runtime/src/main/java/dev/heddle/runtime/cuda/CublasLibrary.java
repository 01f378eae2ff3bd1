package dev.heddle.runtime.cuda;

import dev.heddle.bindings.NativeLibrary;
import dev.heddle.bindings.cublas.Cublas;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * The functions of cuBLAS and cuBLASLt that products call, one method each, with the C names' order
 * of arguments. Each throws a {@link CudaException} if the status is not success.
 *
 * <p>Not the generated functions: those take a segment for each pointer, garbage in every call of a
 * training step, and each is lost for good if it is touched before the library is there. A test
 * holds the signatures here to the generated ones. Handles are found when the library is opened, so
 * what is missing is said then and not in the middle of a step.
 */
final class CublasLibrary {
  private final MethodHandle create;
  private final MethodHandle destroy;
  private final MethodHandle getVersion;
  private final MethodHandle setStream;
  private final MethodHandle setWorkspace;
  private final MethodHandle setMathMode;
  private final MethodHandle gemm;
  private final MethodHandle gemmStridedBatched;
  private final MethodHandle ltCreate;
  private final MethodHandle ltDestroy;
  private final MethodHandle descriptionCreate;
  private final MethodHandle descriptionDestroy;
  private final MethodHandle descriptionSet;
  private final MethodHandle layoutCreate;
  private final MethodHandle layoutDestroy;
  private final MethodHandle preferenceCreate;
  private final MethodHandle preferenceDestroy;
  private final MethodHandle preferenceSet;
  private final MethodHandle heuristic;
  private final MethodHandle matmul;

  /** The functions that {@code symbols} has; of both libraries. */
  CublasLibrary(SymbolLookup symbols) {
    create = CublasFunction.CREATE.in(symbols);
    destroy = CublasFunction.DESTROY.in(symbols);
    getVersion = CublasFunction.GET_VERSION.in(symbols);
    setStream = CublasFunction.SET_STREAM.in(symbols);
    setWorkspace = CublasFunction.SET_WORKSPACE.in(symbols);
    setMathMode = CublasFunction.SET_MATH_MODE.in(symbols);
    gemm = CublasFunction.GEMM.in(symbols);
    gemmStridedBatched = CublasFunction.GEMM_STRIDED_BATCHED.in(symbols);
    ltCreate = CublasFunction.LT_CREATE.in(symbols);
    ltDestroy = CublasFunction.LT_DESTROY.in(symbols);
    descriptionCreate = CublasFunction.DESCRIPTION_CREATE.in(symbols);
    descriptionDestroy = CublasFunction.DESCRIPTION_DESTROY.in(symbols);
    descriptionSet = CublasFunction.DESCRIPTION_SET.in(symbols);
    layoutCreate = CublasFunction.LAYOUT_CREATE.in(symbols);
    layoutDestroy = CublasFunction.LAYOUT_DESTROY.in(symbols);
    preferenceCreate = CublasFunction.PREFERENCE_CREATE.in(symbols);
    preferenceDestroy = CublasFunction.PREFERENCE_DESTROY.in(symbols);
    preferenceSet = CublasFunction.PREFERENCE_SET.in(symbols);
    heuristic = CublasFunction.HEURISTIC.in(symbols);
    matmul = CublasFunction.MATMUL.in(symbols);
  }

  /**
   * The installed library.
   *
   * @throws IllegalStateException if there is none, with every name tried and what to do, or if it
   *     lacks a function
   */
  static CublasLibrary open() {
    return new CublasLibrary(NativeLibrary.CUBLAS.require());
  }

  // ---- cuBLAS

  void create(long result) {
    check(one(create, "cublasCreate_v2", result), "cublasCreate_v2");
  }

  void destroy(long handle) {
    check(one(destroy, "cublasDestroy_v2", handle), "cublasDestroy_v2");
  }

  void getVersion(long handle, long result) {
    check(two(getVersion, "cublasGetVersion_v2", handle, result), "cublasGetVersion_v2");
  }

  /** Also puts the handle back on the library's own workspace: set ours after it. */
  void setStream(long handle, long stream) {
    int status = two(setStream, "cublasSetStream_v2", handle, stream);
    check(status, "cublasSetStream_v2", "stream 0x%x", stream);
  }

  void setWorkspace(long handle, long address, long byteSize) {
    int status;
    try {
      status = (int) setWorkspace.invokeExact(handle, address, byteSize);
    } catch (Throwable thrown) {
      throw broken("cublasSetWorkspace_v2", thrown);
    }
    check(status, "cublasSetWorkspace_v2", "workspace 0x%x, %d bytes", address, byteSize);
  }

  void setMathMode(long handle, int mode) {
    int status;
    try {
      status = (int) setMathMode.invokeExact(handle, mode);
    } catch (Throwable thrown) {
      throw broken("cublasSetMathMode", thrown);
    }
    check(status, "cublasSetMathMode", "mode %d", mode);
  }

  /** c = alpha op(a) op(b) + beta c, column-major. */
  void gemm(long handle, Gemm g, long alpha, long beta) {
    int status;
    try {
      status =
          (int)
              gemm.invokeExact(
                  handle,
                  g.transposeA,
                  g.transposeB,
                  g.m,
                  g.n,
                  g.k,
                  alpha,
                  g.a,
                  g.type,
                  g.lda,
                  g.b,
                  g.type,
                  g.ldb,
                  beta,
                  g.c,
                  g.type,
                  g.ldc,
                  g.computeType,
                  Cublas.CUBLAS_GEMM_DEFAULT());
    } catch (Throwable thrown) {
      throw broken("cublasGemmEx_64", thrown);
    }
    if (status != 0) {
      throw CublasStatus.failure("cublasGemmEx_64", g.toString(), status);
    }
  }

  /** {@link #gemm} for each index of a batch. */
  void gemmStridedBatched(long handle, Gemm g, long alpha, long beta) {
    int status;
    try {
      status =
          (int)
              gemmStridedBatched.invokeExact(
                  handle,
                  g.transposeA,
                  g.transposeB,
                  g.m,
                  g.n,
                  g.k,
                  alpha,
                  g.a,
                  g.type,
                  g.lda,
                  g.strideA,
                  g.b,
                  g.type,
                  g.ldb,
                  g.strideB,
                  beta,
                  g.c,
                  g.type,
                  g.ldc,
                  g.strideC,
                  g.batch,
                  g.computeType,
                  Cublas.CUBLAS_GEMM_DEFAULT());
    } catch (Throwable thrown) {
      throw broken("cublasGemmStridedBatchedEx_64", thrown);
    }
    if (status != 0) {
      throw CublasStatus.failure("cublasGemmStridedBatchedEx_64", g.toString(), status);
    }
  }

  // ---- cuBLASLt

  void ltCreate(long result) {
    check(one(ltCreate, "cublasLtCreate", result), "cublasLtCreate");
  }

  void ltDestroy(long handle) {
    check(one(ltDestroy, "cublasLtDestroy", handle), "cublasLtDestroy");
  }

  void createDescription(long result, int computeType, int scaleType) {
    int status;
    try {
      status = (int) descriptionCreate.invokeExact(result, computeType, scaleType);
    } catch (Throwable thrown) {
      throw broken("cublasLtMatmulDescCreate", thrown);
    }
    check(
        status,
        "cublasLtMatmulDescCreate",
        "compute type %d, scale type %d",
        computeType,
        scaleType);
  }

  void destroyDescription(long description) {
    check(
        one(descriptionDestroy, "cublasLtMatmulDescDestroy", description),
        "cublasLtMatmulDescDestroy");
  }

  void setDescription(long description, int attribute, long value, long byteSize) {
    set(descriptionSet, "cublasLtMatmulDescSetAttribute", description, attribute, value, byteSize);
  }

  void createLayout(long result, int type, long rows, long columns, long leading) {
    int status;
    try {
      status = (int) layoutCreate.invokeExact(result, type, rows, columns, leading);
    } catch (Throwable thrown) {
      throw broken("cublasLtMatrixLayoutCreate", thrown);
    }
    check(
        status,
        "cublasLtMatrixLayoutCreate",
        "type %d, %d rows, %d columns, leading dimension %d",
        type,
        rows,
        columns,
        leading);
  }

  void destroyLayout(long layout) {
    check(one(layoutDestroy, "cublasLtMatrixLayoutDestroy", layout), "cublasLtMatrixLayoutDestroy");
  }

  void createPreference(long result) {
    check(
        one(preferenceCreate, "cublasLtMatmulPreferenceCreate", result),
        "cublasLtMatmulPreferenceCreate");
  }

  void destroyPreference(long preference) {
    check(
        one(preferenceDestroy, "cublasLtMatmulPreferenceDestroy", preference),
        "cublasLtMatmulPreferenceDestroy");
  }

  void setPreference(long preference, int attribute, long value, long byteSize) {
    set(
        preferenceSet,
        "cublasLtMatmulPreferenceSetAttribute",
        preference,
        attribute,
        value,
        byteSize);
  }

  /**
   * The best algorithm for a product whose C and D are one matrix.
   *
   * @param result receives a {@code cublasLtMatmulHeuristicResult_t}
   * @param count receives how many results there are, 0 or 1
   * @return whether there is one; false where the library says that it cannot compute this
   */
  boolean findAlgorithm(
      long handle, MatmulPlan plan, long preference, long result, MemorySegment count) {
    int status;
    try {
      status =
          (int)
              heuristic.invokeExact(
                  handle,
                  plan.description,
                  plan.layoutA,
                  plan.layoutB,
                  plan.layoutD,
                  plan.layoutD,
                  preference,
                  1,
                  result,
                  count.address());
    } catch (Throwable thrown) {
      throw broken("cublasLtMatmulAlgoGetHeuristic", thrown);
    }
    if (status == Cublas.CUBLAS_STATUS_NOT_SUPPORTED()) {
      return false;
    }
    if (status != 0) {
      throw CublasStatus.failure("cublasLtMatmulAlgoGetHeuristic", plan.form.toString(), status);
    }
    return count.get(ValueLayout.JAVA_INT, 0) > 0;
  }

  /** d = epilogue(alpha op(a) op(b)), column-major; beta must point to 0. */
  void matmul(
      long handle,
      MatmulPlan plan,
      long alpha,
      long a,
      long b,
      long beta,
      long d,
      long workspace,
      long workspaceBytes,
      long stream) {
    int status;
    try {
      status =
          (int)
              matmul.invokeExact(
                  handle,
                  plan.description,
                  alpha,
                  a,
                  plan.layoutA,
                  b,
                  plan.layoutB,
                  beta,
                  d,
                  plan.layoutD,
                  d,
                  plan.layoutD,
                  plan.algorithm,
                  workspace,
                  workspaceBytes,
                  stream);
    } catch (Throwable thrown) {
      throw broken("cublasLtMatmul", thrown);
    }
    if (status != 0) {
      String arguments =
          plan.form + String.format(", a 0x%x, b 0x%x, d 0x%x, %s", a, b, d, plan.pointers());
      throw CublasStatus.failure("cublasLtMatmul", arguments, status);
    }
  }

  // ---- shapes of signatures

  private static int one(MethodHandle handle, String name, long argument) {
    try {
      return (int) handle.invokeExact(argument);
    } catch (Throwable thrown) {
      throw broken(name, thrown);
    }
  }

  private static int two(MethodHandle handle, String name, long first, long second) {
    try {
      return (int) handle.invokeExact(first, second);
    } catch (Throwable thrown) {
      throw broken(name, thrown);
    }
  }

  private static void set(
      MethodHandle handle, String name, long object, int attribute, long value, long byteSize) {
    int status;
    try {
      status = (int) handle.invokeExact(object, attribute, value, byteSize);
    } catch (Throwable thrown) {
      throw broken(name, thrown);
    }
    if (status != 0) {
      throw CublasStatus.failure(
          name, String.format("attribute %d of %d bytes", attribute, byteSize), status);
    }
  }

  private static void check(int status, String call) {
    if (status != 0) {
      throw CublasStatus.failure(call, "", status);
    }
  }

  private static void check(int status, String call, String format, Object... arguments) {
    if (status != 0) {
      throw CublasStatus.failure(call, String.format(format, arguments), status);
    }
  }

  private static IllegalStateException broken(String call, Throwable thrown) {
    return new IllegalStateException("the call of " + call + " failed", thrown);
  }
}
