package dev.heddle.runtime.cuda;

/**
 * The descriptors of one {@link MatmulForm} with the algorithm that was found for it. Only the
 * pointers of bias and auxiliary matrix change from call to call.
 */
final class MatmulPlan {
  final MatmulForm form;

  /** Which piece of the cache's native memory {@link #algorithm} lies in. */
  final int slot;

  long description;
  long layoutA;
  long layoutB;
  long layoutD;

  /** Address of a {@code cublasLtMatmulAlgo_t}; 0 where the library cannot compute the form. */
  long algorithm;

  private long bias;
  private long auxiliary;

  MatmulPlan(MatmulForm form, int slot) {
    this.form = form;
    this.slot = slot;
  }

  boolean isSupported() {
    return algorithm != 0;
  }

  /** Notes the pointer that the description has now; false if it had it already. */
  boolean changesBias(long address) {
    boolean changes = bias != address;
    bias = address;
    return changes;
  }

  /** Notes the pointer that the description has now; false if it had it already. */
  boolean changesAuxiliary(long address) {
    boolean changes = auxiliary != address;
    auxiliary = address;
    return changes;
  }

  /** The changing pointers, for messages. */
  String pointers() {
    return String.format("bias 0x%x, auxiliary 0x%x", bias, auxiliary);
  }
}
