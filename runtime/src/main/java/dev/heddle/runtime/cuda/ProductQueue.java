package dev.heddle.runtime.cuda;

/**
 * Where {@link CublasProducts} sends products: the libraries on one stream, or paper. Arguments are
 * in cuBLAS's terms and are filled anew for the next call.
 */
interface ProductQueue {
  /** What computes the products, such as {@code cuBLAS 12.4.5}. */
  String name();

  /** C = alpha op(A) op(B) + beta C, for each index of the batch. */
  void multiply(Gemm gemm, double alpha, double beta);

  /**
   * D = epilogue(op(A) op(B)), in any type but F64.
   *
   * @param bias address of the epilogue's bias, 0 if it has none
   * @param auxiliary address of the epilogue's auxiliary matrix, 0 if it has none
   * @return false, with nothing done, where this form cannot be computed
   */
  boolean multiply(MatmulForm form, long bias, long auxiliary, long a, long b, long d);
}
