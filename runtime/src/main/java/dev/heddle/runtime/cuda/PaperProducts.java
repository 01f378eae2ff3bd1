package dev.heddle.runtime.cuda;

import dev.heddle.bindings.cublas.Cublas;

/**
 * Counts products instead of computing them, as if the library could compute every form: it does in
 * the simulated library, and a real one that refuses a bias costs one launch more.
 */
final class PaperProducts implements ProductQueue {
  /** What the names of all functions begin with. */
  static final String PREFIX = "cublas";

  private final PaperTally tally;

  PaperProducts(PaperTally tally) {
    this.tally = tally;
  }

  @Override
  public String name() {
    return "products on paper";
  }

  @Override
  public void multiply(Gemm gemm, double alpha, double beta) {
    int size = bytesOf(gemm.type);
    // An operand that all of the batch share is read once.
    long a = gemm.m * gemm.k * (gemm.strideA == 0 ? 1 : gemm.batch);
    long b = gemm.k * gemm.n * (gemm.strideB == 0 ? 1 : gemm.batch);
    long c = gemm.m * gemm.n * gemm.batch;
    CublasFunction function =
        gemm.batch == 1 ? CublasFunction.GEMM : CublasFunction.GEMM_STRIDED_BATCHED;
    tally.product(
        function.symbol(), new PaperMoves(size * (a + b + (beta == 0 ? 0 : c)), size * c));
  }

  @Override
  public boolean multiply(MatmulForm form, long bias, long auxiliary, long a, long b, long d) {
    int size = bytesOf(form.type);
    long results = form.m * form.n;
    // The gradient of a bias is a result; it has a value for each column of B, a bias for each row.
    boolean gradient = form.epilogue == Cublas.CUBLASLT_EPILOGUE_BGRADB();
    long read = form.m * form.k + form.k * form.n + (bias != 0 && !gradient ? form.m : 0);
    long written = results + (auxiliary == 0 ? 0 : results) + (bias != 0 && gradient ? form.n : 0);
    tally.product(CublasFunction.MATMUL.symbol(), new PaperMoves(size * read, size * written));
    return true;
  }

  private static int bytesOf(int type) {
    if (type == Cublas.CUDA_R_64F()) {
      return Double.BYTES;
    }
    return type == Cublas.CUDA_R_32F() ? Float.BYTES : Short.BYTES;
  }
}
