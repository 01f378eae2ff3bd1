package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cublas.Cublas;
import dev.heddle.runtime.NDArray;

/**
 * The arguments of one product in cuBLAS's terms: column-major matrices, C [m,n] = op(A) [m,k]
 * op(B) [k,n]. Mutable and filled again for every call, so that a call makes no garbage.
 *
 * <p>Row-major memory read as column-major is the transpose. So a row-major c = op(a) op(b) is
 * computed as cᵀ = op(b)ᵀ op(a)ᵀ: the operands change places, the transposes stay as they are, and
 * a row stride becomes a leading dimension.
 */
final class Gemm {
  final int type;
  final int computeType;

  int transposeA;
  int transposeB;
  long m;
  long n;
  long k;
  long a;
  long lda;
  long strideA;
  long b;
  long ldb;
  long strideB;
  long c;
  long ldc;
  long strideC;
  long batch;

  Gemm(int type, int computeType) {
    this.type = type;
    this.computeType = computeType;
  }

  /** The row-major product {@code to} = op({@code left}) op({@code right}), rank 2 or 3. */
  void set(NDArray left, boolean transposeLeft, NDArray right, boolean transposeRight, NDArray to) {
    transposeA = operation(transposeRight);
    transposeB = operation(transposeLeft);
    m = to.dim(-1);
    n = to.dim(-2);
    k = left.dim(transposeLeft ? -2 : -1);
    a = right.address();
    lda = leading(right);
    b = left.address();
    ldb = leading(left);
    c = to.address();
    ldc = leading(to);
    batch = to.rank() == 3 ? to.dim(0) : 1;
    strideA = batch > 1 ? right.stride(0) : 0;
    strideB = batch > 1 ? left.stride(0) : 0;
    strideC = batch > 1 ? to.stride(0) : 0;
  }

  static int operation(boolean transposed) {
    return transposed ? Cublas.CUBLAS_OP_T() : Cublas.CUBLAS_OP_N();
  }

  /** Elements between rows; the length of a row where only one is there, or none. */
  static long leading(NDArray matrix) {
    long columns = Math.max(1, matrix.dim(-1));
    return matrix.dim(-2) > 1 ? Math.max(columns, matrix.stride(-2)) : columns;
  }

  @Override
  public String toString() {
    return String.format(
        "transa %d, transb %d, m %d, n %d, k %d, A 0x%x lda %d stride %d, B 0x%x ldb %d stride %d,"
            + " C 0x%x ldc %d stride %d, batch %d, type %d, compute type %d",
        transposeA,
        transposeB,
        m,
        n,
        k,
        a,
        lda,
        strideA,
        b,
        ldb,
        strideB,
        c,
        ldc,
        strideC,
        batch,
        type,
        computeType);
  }
}
