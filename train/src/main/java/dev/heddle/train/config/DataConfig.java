package dev.heddle.train.config;

import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The data set.
 *
 * @param kind the only one: {@value #EMOJI}
 * @param holdOut every line of the list whose number is 0 modulo this is held out, at least 2
 * @param path a folder with {@code emoji.jsonl}, {@code google-32.png} and {@code twitter-32.png},
 *     for a model that hears also the files of spoken words; null is the set that Heddle ships with
 * @param textOnly the part of the training samples that come without a picture, 0 to 1
 * @param packed whether a microbatch's sequences stand one after the other without padding
 */
public record DataConfig(
    String kind, int holdOut, @Nullable Path path, double textOnly, boolean packed) {

  /** Every sample with its picture, sequences padded to one length. */
  public DataConfig(String kind, int holdOut, @Nullable Path path) {
    this(kind, holdOut, path, 0, false);
  }

  /** Pictures of emoji with their names. */
  public static final String EMOJI = "emoji";

  /** The files of an emoji data set. */
  public static final List<String> EMOJI_FILES =
      List.of("emoji.jsonl", "google-32.png", "twitter-32.png");

  /**
   * Text positions that the longest emoji caption takes: its eight words, the begin and the end
   * mark. The data set's test compares this with the data.
   */
  public static final int EMOJI_TEXT_LENGTH = 10;

  /** The files of spoken words that an emoji data set has as well where a model hears. */
  public static final List<String> EMOJI_SOUND_FILES = List.of("words-a.ima", "words-b.ima");

  /**
   * Frames of the longest spoken name of an emoji, in either voice. The data set's test compares
   * this with the data.
   */
  public static final int EMOJI_LONGEST_SOUND = 302;
}
