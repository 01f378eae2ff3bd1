package dev.heddle.train.dataset;

import java.util.List;

/**
 * One emoji: what it shows and where its drawings are.
 *
 * @param line its line in the list, from 1; the split goes by it
 * @param code its code points in hexadecimal
 * @param label its name
 * @param words the caption: the name's words, as {@link CaptionWords} cuts them
 * @param category the wider of its two groups
 * @param column its cell's column in every sheet
 * @param row its cell's row in every sheet
 */
public record Emoji(
    int line, String code, String label, List<String> words, String category, int column, int row) {

  /** Copies the words, so that nobody changes them. */
  public Emoji {
    words = List.copyOf(words);
  }

  /** The caption as one text. */
  public String caption() {
    return String.join(" ", words);
  }
}
