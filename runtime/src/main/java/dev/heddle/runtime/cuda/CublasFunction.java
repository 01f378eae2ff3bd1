package dev.heddle.runtime.cuda;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** The functions of cuBLAS and cuBLASLt that products call; all return a status. */
enum CublasFunction {
  CREATE("cublasCreate_v2", "p"),
  DESTROY("cublasDestroy_v2", "p"),
  GET_VERSION("cublasGetVersion_v2", "pp"),
  SET_STREAM("cublasSetStream_v2", "pp"),
  SET_WORKSPACE("cublasSetWorkspace_v2", "ppl"),
  SET_MATH_MODE("cublasSetMathMode", "pi"),
  GEMM("cublasGemmEx_64", "piilllppilpilppilii"),
  GEMM_STRIDED_BATCHED("cublasGemmStridedBatchedEx_64", "piilllppillpillppilllii"),
  LT_CREATE("cublasLtCreate", "p"),
  LT_DESTROY("cublasLtDestroy", "p"),
  DESCRIPTION_CREATE("cublasLtMatmulDescCreate", "pii"),
  DESCRIPTION_DESTROY("cublasLtMatmulDescDestroy", "p"),
  DESCRIPTION_SET("cublasLtMatmulDescSetAttribute", "pipl"),
  LAYOUT_CREATE("cublasLtMatrixLayoutCreate", "pilll"),
  LAYOUT_DESTROY("cublasLtMatrixLayoutDestroy", "p"),
  PREFERENCE_CREATE("cublasLtMatmulPreferenceCreate", "p"),
  PREFERENCE_DESTROY("cublasLtMatmulPreferenceDestroy", "p"),
  PREFERENCE_SET("cublasLtMatmulPreferenceSetAttribute", "pipl"),
  HEURISTIC("cublasLtMatmulAlgoGetHeuristic", "pppppppipp"),
  MATMUL("cublasLtMatmul", "pppppppppppppplp");

  private static final String FIX =
      " is not in the cuBLAS that was found; wanted the one of CUDA 12 or 13. Set CUDA_HOME to"
          + " such a toolkit, or name the files with -Dheddle.cublas=libcublasLt:libcublas.";

  private final String symbol;
  private final String signature;

  /**
   * @param signature a letter an argument: p a pointer, l a 64-bit integer, i a 32-bit one
   */
  CublasFunction(String symbol, String signature) {
    this.symbol = symbol;
    this.signature = signature;
  }

  /** The C name. */
  String symbol() {
    return symbol;
  }

  /** The C signature, with pointers as numbers. */
  FunctionDescriptor descriptor() {
    MemoryLayout[] arguments = new MemoryLayout[signature.length()];
    for (int i = 0; i < arguments.length; i++) {
      arguments[i] = signature.charAt(i) == 'i' ? ValueLayout.JAVA_INT : ValueLayout.JAVA_LONG;
    }
    return FunctionDescriptor.of(ValueLayout.JAVA_INT, arguments);
  }

  /**
   * The function in a library.
   *
   * @throws IllegalStateException if it has none of that name
   */
  MethodHandle in(SymbolLookup symbols) {
    MemorySegment address =
        symbols.find(symbol).orElseThrow(() -> new IllegalStateException(symbol + FIX));
    return Linker.nativeLinker().downcallHandle(address, descriptor());
  }
}
