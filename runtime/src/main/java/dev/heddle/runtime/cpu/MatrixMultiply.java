package dev.heddle.runtime.cpu;

/** A way to compute matrix products in F32 with the rank's threads. */
interface MatrixMultiply {
  /** What it is, for people. */
  String name();

  /**
   * Computes {@code product}. The result does not depend on the number of threads.
   *
   * <p>Sizes are at least 1.
   */
  void multiply(Product product);
}
