package dev.heddle.parallel.tensor;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Embedding;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;

/**
 * Embedding with the words divided over ranks: each looks up the words it has, finds zeros for the
 * others, and the parts are summed. Only one rank contributes to a row, so the sum is exact.
 */
final class VocabularyParallelEmbedding {
  private VocabularyParallelEmbedding() {}

  /**
   * This rank's summand of the vectors of {@code ids} [n], negative ones zeros.
   *
   * @param table this rank's words, from {@code first} on, of {@code vocabularySize}
   * @throws IndexOutOfBoundsException if an id is in no rank's part; on a GPU from a later call, as
   *     the kernels' rules say
   */
  static Tensor partialEmbedding(NDArray ids, Tensor table, long first, long vocabularySize) {
    NDArray words = ids.contiguous().reshape(ids.size());
    NDArray local = NDArray.empty(table.device(), DType.I64, words.size());
    // Looks at the words of all ranks: a part alone would take an id that is no word for a word of
    // another rank, and all would find zeros.
    table.kernels().localRows(words, first, table.dim(0), vocabularySize, local);
    return Embedding.embedding(local, table);
  }
}
