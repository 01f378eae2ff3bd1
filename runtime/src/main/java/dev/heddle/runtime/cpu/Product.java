package dev.heddle.runtime.cpu;

import dev.heddle.runtime.BinaryOperation;
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

  /** Address of one value a column that is added to each row, or 0 for none; only with beta 0. */
  long bias;

  /** Applied to c when it is complete; the result goes to {@link #activated}. */
  UnaryOperation activation = UnaryOperation.IDENTITY;

  /** Where activation(c) goes, with c's stride; may be c itself. */
  long activated;

  /** Products to compute; the operands of the next lie the batch strides (bytes) further. */
  long batch;

  long aBatchStride;
  long bBatchStride;
  long cBatchStride;

  /** A plain single product: no bias, no activation. */
  void plain() {
    bias = 0;
    activation = UnaryOperation.IDENTITY;
    activated = 0;
    batch = 1;
    aBatchStride = 0;
    bBatchStride = 0;
    cBatchStride = 0;
  }

  /** Address of op(a)[row, k]. */
  long aAt(long row, long k) {
    return transposeA ? a + k * aStride + 4 * row : a + row * aStride + 4 * k;
  }

  /** Address of op(b)[k, column]. */
  long bAt(long k, long column) {
    return transposeB ? b + column * bStride + 4 * k : b + k * bStride + 4 * column;
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
