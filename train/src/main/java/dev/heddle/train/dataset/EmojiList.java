package dev.heddle.train.dataset;

import dev.heddle.train.config.DataConfig;
import dev.heddle.train.json.Json;
import dev.heddle.train.json.JsonException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Reads {@code emoji.jsonl}: one JSON object a line. */
final class EmojiList {
  static final String FILE = "emoji.jsonl";

  private static final int LONGEST_CAPTION = DataConfig.EMOJI_TEXT_LENGTH - 2;

  private EmojiList() {}

  /**
   * Reads the list.
   *
   * @throws DatasetException with the line of the first bad entry
   */
  static List<Emoji> read(DataFiles files) {
    String text = new String(files.read(FILE), StandardCharsets.UTF_8);
    List<Emoji> emoji = new ArrayList<>();
    int line = 0;
    for (String json : text.lines().toList()) {
      line++;
      try {
        emoji.add(parse(line, json));
      } catch (JsonException e) {
        throw new DatasetException(
            files.name(FILE) + ":" + line, String.valueOf(e.getMessage()), e);
      }
    }
    return List.copyOf(emoji);
  }

  private static Emoji parse(int line, String text) {
    Map<String, @Nullable Object> json = Json.parseObject(text);
    String label = Json.text(json.get("label"), "label");
    List<String> words = CaptionWords.of(label);
    if (words.isEmpty() || words.size() > LONGEST_CAPTION) {
      throw new JsonException(
          "label '%s' has %d words, a caption has 1 to %d"
              .formatted(label, words.size(), LONGEST_CAPTION));
    }
    return new Emoji(
        line,
        Json.text(json.get("code"), "code"),
        label,
        words,
        Json.text(json.get("category"), "category"),
        coordinate(json.get("x"), "x"),
        coordinate(json.get("y"), "y"));
  }

  private static int coordinate(@Nullable Object value, String name) {
    long number = Json.whole(value, name);
    if (number < 0 || number > Short.MAX_VALUE) {
      throw new JsonException(name + " is " + number + ", not a cell of a sheet");
    }
    return (int) number;
  }
}
