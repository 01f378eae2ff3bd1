package dev.heddle.train.dataset;

import java.text.Normalizer;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/**
 * Cuts a name into the words of a caption: lower case, letters and digits, apostrophes and inner
 * dots kept ({@code o'clock}, {@code u.s}), the signs of a key cap kept as words, all other
 * punctuation dropped. "flag: Côte d’Ivoire" becomes {@code flag}, {@code côte}, {@code d'ivoire}.
 */
final class CaptionWords {
  private static final Pattern WORD =
      Pattern.compile("[\\p{L}\\p{N}\\p{M}]+(?:['.][\\p{L}\\p{N}\\p{M}]+)*|[#*]");

  private CaptionWords() {}

  static List<String> of(String name) {
    String plain =
        Normalizer.normalize(name, Normalizer.Form.NFC)
            .replace('\u2019', '\'')
            .toLowerCase(Locale.ROOT);
    return WORD.matcher(plain).results().map(MatchResult::group).toList();
  }
}
