package dev.heddle.parallel.tensor;

import dev.heddle.autograd.Tensor;
import dev.heddle.ops.Embedding;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;

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
   * @throws IndexOutOfBoundsException if an id is in no rank's part
   */
  static Tensor partialEmbedding(NDArray ids, Tensor table, long first, long vocabularySize) {
    if (!ids.device().hasBytes()) {
      return Embedding.embedding(ids, table);
    }
    long[] words = ids.toLongs();
    long count = table.dim(0);
    for (int i = 0; i < words.length; i++) {
      if (words[i] >= vocabularySize) {
        // A part alone would take it for a word of another rank, and all would find zeros.
        throw new IndexOutOfBoundsException(
            "vocabulary-parallel embedding: id "
                + words[i]
                + " at "
                + i
                + "; wanted less than "
                + vocabularySize
                + ", the words of all ranks");
      }
      long local = words[i] - first;
      words[i] = words[i] >= 0 && local >= 0 && local < count ? local : -1;
    }
    NDArray local = NDArray.of(table.device(), Shape.of(words.length), words);
    return Embedding.embedding(local, table);
  }
}
