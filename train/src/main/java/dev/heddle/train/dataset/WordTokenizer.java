package dev.heddle.train.dataset;

import dev.heddle.train.json.Json;
import dev.heddle.train.json.JsonException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Words to numbers and back. The vocabulary is the words of the training captions only, the
 * frequent first; any other word is the unknown one.
 */
public final class WordTokenizer {
  /** Fills a sequence up; never predicted, its positions are ignored by the loss. */
  public static final int PAD = 0;

  /** Begins a caption. */
  public static final int BEGIN = 1;

  /** Ends a caption. */
  public static final int END = 2;

  /** A word that training never saw. */
  public static final int UNKNOWN = 3;

  private static final List<String> SPECIAL = List.of("<pad>", "<begin>", "<end>", "<unknown>");

  private final List<String> vocabulary;
  private final Map<String, Integer> ids = new HashMap<>();

  /**
   * How much of some captions the vocabulary can say.
   *
   * @param words words in all
   * @param knownWords words in the vocabulary
   * @param captions captions in all
   * @param sayableCaptions captions all of whose words are in the vocabulary: the most that an
   *     exact match can reach
   */
  public record Coverage(int words, int knownWords, int captions, int sayableCaptions) {}

  private WordTokenizer(List<String> vocabulary) {
    this.vocabulary = List.copyOf(vocabulary);
    for (int id = 0; id < vocabulary.size(); id++) {
      ids.put(vocabulary.get(id), id);
    }
  }

  /**
   * Builds the vocabulary from the training captions: by falling frequency, then alphabetically.
   */
  public static WordTokenizer build(List<List<String>> captions) {
    Map<String, Integer> counts = new HashMap<>();
    for (List<String> caption : captions) {
      caption.forEach(word -> counts.merge(word, 1, Integer::sum));
    }
    SPECIAL.forEach(counts::remove);
    List<String> vocabulary = new ArrayList<>(SPECIAL);
    counts.entrySet().stream()
        .sorted(
            Map.Entry.<String, Integer>comparingByValue(Comparator.reverseOrder())
                .thenComparing(Map.Entry.comparingByKey()))
        .forEach(entry -> vocabulary.add(entry.getKey()));
    return new WordTokenizer(vocabulary);
  }

  /** How many numbers there are, the four special ones included. */
  public int vocabularySize() {
    return vocabulary.size();
  }

  /** The number of a word; {@link #UNKNOWN} when it is not in the vocabulary. */
  public int id(String word) {
    return ids.getOrDefault(word, UNKNOWN);
  }

  /**
   * The word of a number.
   *
   * @throws IndexOutOfBoundsException when there is no such number
   */
  public String word(int id) {
    return vocabulary.get(id);
  }

  /** The numbers of words, without begin and end. */
  public int[] encode(List<String> words) {
    return words.stream().mapToInt(this::id).toArray();
  }

  /** The words of numbers up to the first end; begin and padding are left out. */
  public List<String> decode(int... tokens) {
    List<String> words = new ArrayList<>();
    for (int token : tokens) {
      if (token == END) {
        break;
      }
      if (token != PAD && token != BEGIN) {
        words.add(word(token));
      }
    }
    return words;
  }

  /** How much of some captions can be said. */
  public Coverage coverage(List<List<String>> captions) {
    int words = 0;
    int known = 0;
    int sayable = 0;
    for (List<String> caption : captions) {
      int found = (int) caption.stream().filter(ids::containsKey).count();
      words += caption.size();
      known += found;
      sayable += found == caption.size() ? 1 : 0;
    }
    return new Coverage(words, known, captions.size(), sayable);
  }

  /** The vocabulary as JSON, for the checkpoint. */
  public String toJson() {
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("kind", "words");
    json.put("vocabulary", vocabulary);
    return Json.write(json) + "\n";
  }

  /**
   * Reads what {@link #toJson} wrote.
   *
   * @param name where it is from, for refusals
   * @throws DatasetException when it is not a vocabulary
   */
  public static WordTokenizer fromJson(String name, String text) {
    try {
      Map<String, @Nullable Object> json = Json.parseObject(text);
      List<String> words = new ArrayList<>();
      for (Object word : Json.list(json.get("vocabulary"), "vocabulary")) {
        words.add(Json.text(word, "word " + words.size()));
      }
      if (words.size() < SPECIAL.size() || !words.subList(0, SPECIAL.size()).equals(SPECIAL)) {
        throw new JsonException("the vocabulary does not begin with " + SPECIAL);
      }
      if (words.stream().distinct().count() != words.size()) {
        throw new JsonException("a word is there twice");
      }
      return new WordTokenizer(words);
    } catch (JsonException e) {
      throw new DatasetException(name, String.valueOf(e.getMessage()), e);
    }
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof WordTokenizer that && vocabulary.equals(that.vocabulary);
  }

  @Override
  public int hashCode() {
    return vocabulary.hashCode();
  }
}
