package dev.heddle.ops;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

/**
 * y[..,:] = table[ids[..],:], zeros where an id is negative. ids [..], table [V,C] -> y [..,C].
 *
 * <p>dtable[v,:] = Σ of dy where ids = v, in row-major order. {@link GatherRows} and {@link
 * Reshape}.
 */
public final class Embedding {
  private Embedding() {}

  /**
   * The rows of {@code table} for {@code ids}.
   *
   * @param ids I64 or I32, any shape
   * @throws IndexOutOfBoundsException if an id is not below V
   */
  public static Tensor embedding(NDArray ids, Tensor table) {
    if (table.rank() != 2) {
      throw Refusal.of(
          "Embedding.embedding", "table", table, "[V,C]", "It holds one row a vocabulary entry.");
    }
    if (ids.dtype().isFloating()) {
      throw Refusal.of("Embedding.embedding", "ids", ids, "I64 or I32", "They number rows.");
    }
    Tensor rows = GatherRows.gatherRows(table, ids.reshape(ids.size()));
    long[] dims = new long[ids.rank() + 1];
    for (int i = 0; i < ids.rank(); i++) {
      dims[i] = ids.dim(i);
    }
    dims[ids.rank()] = table.dim(1);
    return ids.rank() == 1 ? rows : Reshape.reshape(rows, Shape.of(dims));
  }
}
