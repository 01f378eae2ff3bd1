package dev.heddle.train.dataset;

import static org.assertj.core.api.Assertions.assertThat;

import java.text.Normalizer;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class CaptionWordsTest {
  private static final Pattern WORD =
      Pattern.compile("[\\p{L}\\p{N}\\p{M}]+(?:['.][\\p{L}\\p{N}\\p{M}]+)*|[#*]");

  @Test
  void of_namesWithSigns_keepsWhatBelongsToWords() {
    assertThat(CaptionWords.of("flag: C\u00f4te d\u2019Ivoire"))
        .containsExactly("flag", "c\u00f4te", "d'ivoire");
    assertThat(CaptionWords.of("flag: U.S. Outlying Islands"))
        .containsExactly("flag", "u.s", "outlying", "islands");
    assertThat(CaptionWords.of("keycap: #")).containsExactly("keycap", "#");
    assertThat(CaptionWords.of("keycap: *1")).containsExactly("keycap", "*", "1");
    assertThat(CaptionWords.of("One O'CLOCK")).containsExactly("one", "o'clock");
    assertThat(CaptionWords.of(" ..'' -")).isEmpty();
    assertThat(CaptionWords.of("")).isEmpty();
  }

  /** The rule as a regular expression says it, on characters of every kind that it knows. */
  @Test
  void of_anyText_isWhatTheRuleSays() {
    String[] pieces = {
      "a",
      "Z",
      "7",
      "'",
      "\u2019",
      ".",
      "#",
      "*",
      " ",
      "-",
      "\u00c9",
      "e\u0301",
      "\u20dd",
      "\u0663",
      "\u2167",
      "\u00b2",
      "\u01c5",
      "\u02b0",
      "\u4e2d",
      "\ud835\udc00",
      "\ud83d\ude00",
      "\ud83d",
      "_"
    };
    Random random = new Random(3);
    for (int turn = 0; turn < 5000; turn++) {
      StringBuilder text = new StringBuilder();
      for (int i = random.nextInt(12); i > 0; i--) {
        text.append(pieces[random.nextInt(pieces.length)]);
      }
      String plain =
          Normalizer.normalize(text, Normalizer.Form.NFC)
              .replace('\u2019', '\'')
              .toLowerCase(Locale.ROOT);
      List<String> expected = WORD.matcher(plain).results().map(MatchResult::group).toList();
      assertThat(CaptionWords.of(text.toString())).as("%s", text).isEqualTo(expected);
    }
  }
}
