package dev.heddle.train.run;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.LanguageModel;
import dev.heddle.train.model.Sequences;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Writes several captions at once, one word of each at a time. */
final class GreedyDecoding {
  private GreedyDecoding() {}

  /**
   * Decodes until all captions have ended.
   *
   * @param rows the rows of each encoder, of all samples; none to write without pictures
   * @param rowCounts for each of these encoders the rows of each sample
   * @param textLength the most positions a caption takes, begin mark included
   * @return for each sample its tokens, without the begin mark, end mark included where reached
   */
  static List<int[]> decode(
      LanguageModel language,
      Map<String, Tensor> rows,
      Map<String, int[]> rowCounts,
      int samples,
      int textLength) {
    int[][] written = new int[samples][1];
    for (int[] caption : written) {
      caption[0] = WordTokenizer.BEGIN;
    }
    boolean[] ended = new boolean[samples];
    int open = samples;
    for (int length = 1; length <= textLength && open > 0; length++) {
      long[] next = next(language, rows, rowCounts, written);
      for (int i = 0; i < samples; i++) {
        int token = ended[i] ? WordTokenizer.PAD : (int) next[i];
        written[i] = Arrays.copyOf(written[i], length + 1);
        written[i][length] = token;
        if (!ended[i] && token == WordTokenizer.END) {
          ended[i] = true;
          open--;
        }
      }
    }
    List<int[]> captions = new ArrayList<>(samples);
    for (int[] caption : written) {
      captions.add(Arrays.copyOfRange(caption, 1, caption.length));
    }
    return captions;
  }

  private static long[] next(
      LanguageModel language,
      Map<String, Tensor> rows,
      Map<String, int[]> rowCounts,
      int[][] written) {
    try (MemoryScope scope = MemoryScope.open()) {
      return language.mostProbable(Sequences.continuations(rowCounts, written), rows).toLongs();
    }
  }
}
