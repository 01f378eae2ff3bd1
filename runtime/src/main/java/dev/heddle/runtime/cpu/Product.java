package dev.heddle.runtime.cpu;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.UnaryOperation;

/**
 * The description of one (batched) matrix product at raw addresses: {@code c = activation(alpha
 * op(a) op(b) + beta c + bias)}. Mutable and used again for every call, so that a product makes no
 * garbage; it belongs to the rank's thread.
 *
 * <p>Strides are bytes between memory rows as stored; columns are contiguous. All matrices are
 * row-major: op(a) is {@code rows × depth}, op(b) {@code depth × columns}, c {@code rows ×
 * columns}.
 */
final class Product {
  long rows;
  long columns;
  long depth;

  /** Whether a and b are bf16; else F32. Only {@link MachineMultiply} takes bf16. */
  boolean bf16;

  /** Whether c is bf16; else F32. */
  boolean bf16Result;

  long a;
  long aStride;
  boolean transposeA;

  long b;
  long bStride;
  boolean transposeB;

  long c;
  long cStride;

  float alpha;
  float beta;

  /**
   * Address of one F32 value a column that is added to each row, or 0 for none; only with beta 0.
   */
  long bias;

  /**
   * Address of one F32 value for each row of op(a), to which the sum of that row is added, or 0 for
   * none; only for bf16 that is used transposed, and one product.
   */
  long rowSums;

  /** Applied to c when it is complete; the result goes to {@link #activated}. */
  UnaryOperation activation = UnaryOperation.IDENTITY;

  /** Where activation(c) goes, with c's stride; may be c itself. */
  long activated;

  /** Products to compute; the operands of the next lie the batch strides (bytes) further. */
  long batch;

  long aBatchStride;
  long bBatchStride;
  long cBatchStride;

  /** A plain single product of F32: no bias, no activation. */
  void plain() {
    bf16 = false;
    bf16Result = false;
    bias = 0;
    rowSums = 0;
    activation = UnaryOperation.IDENTITY;
    activated = 0;
    batch = 1;
    aBatchStride = 0;
    bBatchStride = 0;
    cBatchStride = 0;
  }

  /**
   * A product of arrays, of matrices or of batches of them: {@code c = alpha op(a) op(b) + beta c}.
   */
  void describe(
      NDArray newA,
      boolean newTransposeA,
      NDArray newB,
      boolean newTransposeB,
      double newAlpha,
      double newBeta,
      NDArray newC) {
    plain();
    rows = newC.dim(-2);
    columns = newC.dim(-1);
    depth = newA.dim(newTransposeA ? -2 : -1);
    bf16 = newA.dtype() == DType.BF16;
    bf16Result = newC.dtype() == DType.BF16;
    a = newA.address();
    aStride = rowBytes(newA);
    transposeA = newTransposeA;
    b = newB.address();
    bStride = rowBytes(newB);
    transposeB = newTransposeB;
    c = newC.address();
    cStride = rowBytes(newC);
    alpha = (float) newAlpha;
    beta = (float) newBeta;
    if (newC.rank() == 3) {
      batch = newC.dim(0);
      aBatchStride = newA.stride(0) * newA.dtype().byteSize();
      bBatchStride = newB.stride(0) * newB.dtype().byteSize();
      cBatchStride = newC.stride(0) * newC.dtype().byteSize();
    }
  }

  /** The stride of a dim of size 1 may be anything; what is used must not be. */
  private static long rowBytes(NDArray x) {
    long elements = x.dim(-2) == 1 ? Math.max(1, x.dim(-1)) : x.stride(-2);
    return elements * x.dtype().byteSize();
  }

  /** Address of op(a)[row, k]. */
  long aAt(long row, long k) {
    long bytes = bf16 ? Short.BYTES : Float.BYTES;
    return transposeA ? a + k * aStride + bytes * row : a + row * aStride + bytes * k;
  }

  /** Address of op(b)[k, column]. */
  long bAt(long k, long column) {
    long bytes = bf16 ? Short.BYTES : Float.BYTES;
    return transposeB ? b + column * bStride + bytes * k : b + k * bStride + bytes * column;
  }

  /** Adds the bias and applies the activation to a part of c, a row at a time. */
  void finish(long row, long rowCount, long column, long columnCount) {
    boolean biased = bias != 0;
    boolean activates = activation != UnaryOperation.IDENTITY;
    if (!biased && !activates) {
      return;
    }
    int count = (int) columnCount;
    for (long i = row; i < row + rowCount; i++) {
      long offset = i * cStride + 4 * column;
      long at = c + offset;
      if (biased) {
        VectorArithmetic.apply(BinaryOperation.ADD, at, bias + 4 * column, at, count);
      }
      if (activates) {
        VectorUnary.apply(activation, at, activated + offset, count);
      }
    }
  }
}
