package dev.heddle.train.run;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.memory.MemoryScope;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.LanguageModel;
import dev.heddle.train.model.Sequences;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Writes several captions at once, one word of each at a time. */
final class GreedyDecoding {
  private GreedyDecoding() {}

  /**
   * Decodes until all captions have ended.
   *
   * @param rows image rows of all samples, or null to write without pictures
   * @param textLength the most positions a caption takes, begin mark included
   * @return for each sample its tokens, without the begin mark, end mark included where reached
   */
  static List<int[]> decode(
      LanguageModel language, @Nullable Tensor rows, int imageRows, int samples, int textLength) {
    int[][] written = new int[samples][1];
    for (int[] caption : written) {
      caption[0] = WordTokenizer.BEGIN;
    }
    boolean[] ended = new boolean[samples];
    int open = samples;
    for (int length = 1; length <= textLength && open > 0; length++) {
      long[] next = next(language, rows, imageRows, written);
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
      LanguageModel language, @Nullable Tensor rows, int imageRows, int[][] written) {
    try (MemoryScope scope = MemoryScope.open()) {
      Sequences sequences = Sequences.continuations(rows == null ? 0 : imageRows, written);
      Map<String, Tensor> incoming = rows == null ? Map.of() : Map.of(CaptionModel.VISION, rows);
      return language.mostProbable(sequences, incoming).toLongs();
    }
  }
}
