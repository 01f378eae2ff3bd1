package dev.heddle.train.run;

import dev.heddle.train.dataset.EmojiDataset;
import dev.heddle.train.dataset.WordTokenizer;
import dev.heddle.train.model.LanguageProgram;
import java.util.Arrays;
import java.util.List;

/** Captions as the language model reads and predicts them. */
final class CaptionText {
  private static final int IGNORED = -1;

  private CaptionText() {}

  /** Positions that the longest training caption takes: its words and the begin mark. */
  static int textLength(EmojiDataset dataset) {
    return 1 + dataset.training().stream().mapToInt(e -> e.words().size()).max().orElse(0);
  }

  /**
   * Captions of {@code textLength} positions: begin mark and words are read, each position predicts
   * the next word, the last word the end mark; what is left over is padding and not scored.
   */
  static LanguageProgram.Captions captions(
      List<List<String>> captions, WordTokenizer tokenizer, int textLength) {
    int[][] words = new int[captions.size()][textLength];
    int[][] targets = new int[captions.size()][textLength];
    for (int i = 0; i < captions.size(); i++) {
      int[] tokens = tokenizer.encode(captions.get(i));
      Arrays.fill(words[i], WordTokenizer.PAD);
      Arrays.fill(targets[i], IGNORED);
      words[i][0] = WordTokenizer.BEGIN;
      for (int t = 0; t < tokens.length; t++) {
        words[i][t + 1] = tokens[t];
        targets[i][t] = tokens[t];
      }
      targets[i][tokens.length] = WordTokenizer.END;
    }
    return new LanguageProgram.Captions(words, targets);
  }
}
