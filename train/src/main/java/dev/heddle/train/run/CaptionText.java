package dev.heddle.train.run;

import dev.heddle.train.dataset.EmojiDataset;
import dev.heddle.train.dataset.WordTokenizer;
import java.util.Arrays;
import java.util.List;

/** Captions as the language model reads and predicts them. */
final class CaptionText {
  private static final int IGNORED = -1;

  /**
   * Captions in numbers.
   *
   * @param read for each caption the words that are read, begin mark first
   * @param targets for each caption, by the same positions, the word that follows, -1 for padding
   */
  @SuppressWarnings("ArrayRecordComponent") // made once a microbatch and only read
  record Words(int[][] read, int[][] targets) {}

  private CaptionText() {}

  /** Positions that the longest training caption takes: its words and the begin mark. */
  static int textLength(EmojiDataset dataset) {
    return dataset.training().stream().mapToInt(e -> textLength(e.words())).max().orElse(1);
  }

  /** Positions that a caption takes: its words and the begin mark. */
  static int textLength(List<String> caption) {
    return 1 + caption.size();
  }

  /**
   * Captions of the given numbers of positions: begin mark and words are read, each position
   * predicts the next word, the last word the end mark; what is left over is padding and not
   * scored.
   */
  static Words words(List<List<String>> captions, WordTokenizer tokenizer, int[] lengths) {
    int[][] words = new int[captions.size()][];
    int[][] targets = new int[captions.size()][];
    for (int i = 0; i < lengths.length; i++) {
      int[] tokens = tokenizer.encode(captions.get(i));
      words[i] = new int[lengths[i]];
      targets[i] = new int[lengths[i]];
      Arrays.fill(words[i], WordTokenizer.PAD);
      Arrays.fill(targets[i], IGNORED);
      words[i][0] = WordTokenizer.BEGIN;
      for (int t = 0; t < tokens.length; t++) {
        words[i][t + 1] = tokens[t];
        targets[i][t] = tokens[t];
      }
      targets[i][tokens.length] = WordTokenizer.END;
    }
    return new Words(words, targets);
  }
}
