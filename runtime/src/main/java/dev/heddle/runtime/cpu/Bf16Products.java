package dev.heddle.runtime.cpu;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;

/**
 * Products of bf16 matrices by oneDNN's matmul primitive, on processors with bf16 instructions. On
 * others {@link Bf16Kernels} multiplies in F32, which is faster there.
 */
final class Bf16Products {
  private final WorkerPool workers;
  private final boolean instructions;

  /**
   * Products for a rank's threads.
   *
   * @param instructions whether oneDNN is used and the processor multiplies bf16
   */
  Bf16Products(WorkerPool workers, boolean instructions) {
    this.workers = workers;
    this.instructions = instructions;
  }

  /** Whether {@link #multiply} computes anything. */
  boolean areInstructions() {
    return instructions;
  }

  /**
   * c = op(a) op(b) for matrices or batches of them, a and b bf16, c bf16 or F32, if it can: with
   * alpha 1 and beta 0 on a processor with the instructions.
   *
   * @return whether c was computed
   */
  boolean multiply(
      NDArray a,
      boolean transposeA,
      NDArray b,
      boolean transposeB,
      double alpha,
      double beta,
      NDArray c) {
    boolean empty = a.size() == 0 || c.size() == 0;
    if (!instructions || alpha != 1 || beta != 0 || empty) {
      return false;
    }
    long batch = c.rank() == 3 ? c.dim(0) : 1;
    long rows = c.dim(-2);
    long depth = a.dim(transposeA ? -2 : -1);
    // Borders depend on sizes only, so that results do not depend on the number of threads.
    boolean alongBatch = batch > 1;
    long size = alongBatch ? batch : rows;
    long grain = Math.max(alongBatch ? 1 : 64, (size + 3) / 4);
    OneDnnMatmul.Steps left = steps(a, transposeA);
    OneDnnMatmul.Steps right = steps(b, transposeB);
    OneDnnMatmul.Steps result = steps(c, false);
    long from = a.address();
    long other = b.address();
    long to = c.address();
    workers.run(
        size,
        grain,
        (start, end) -> {
          long first = alongBatch ? start * left.batch() : start * left.row();
          long second = alongBatch ? start * right.batch() : 0;
          long target = alongBatch ? start * result.batch() : start * result.row();
          OneDnnMatmul.Form form =
              new OneDnnMatmul.Form(
                  DType.BF16,
                  c.dtype(),
                  alongBatch ? end - start : 1,
                  alongBatch ? rows : end - start,
                  c.dim(-1),
                  depth,
                  left,
                  right,
                  result);
          OneDnnMatmul.ofThisThread()
              .multiply(
                  form,
                  from + first * a.dtype().byteSize(),
                  other + second * b.dtype().byteSize(),
                  to + target * c.dtype().byteSize());
        });
    return true;
  }

  private static OneDnnMatmul.Steps steps(NDArray x, boolean transposed) {
    long row = x.dim(-2) == 1 ? Math.max(1, x.dim(-1)) : x.stride(-2);
    long batch = x.rank() == 3 ? x.stride(0) : x.dim(-2) * row;
    return OneDnnMatmul.Steps.of(batch, row, transposed);
  }
}
