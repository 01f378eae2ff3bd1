package dev.heddle.train.dataset;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.train.config.DataConfig;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;

class WordTokenizerTest {
  private static final List<List<String>> CAPTIONS =
      List.of(List.of("red", "heart"), List.of("blue", "heart"), List.of("blue", "heart", "flag"));

  @Test
  void build_ordersByFrequencyThenAlphabetically() {
    WordTokenizer tokenizer = WordTokenizer.build(CAPTIONS);
    assertThat(tokenizer.vocabularySize()).isEqualTo(8);
    assertThat(tokenizer.decode(4, 5, 6, 7)).containsExactly("heart", "blue", "flag", "red");
    List<List<String>> shuffled = new ArrayList<>(CAPTIONS);
    Collections.reverse(shuffled);
    assertThat(WordTokenizer.build(shuffled)).isEqualTo(tokenizer);
  }

  @Test
  void encodeThenDecode_givesTheWordsAndAnUnknownWordIsMarked() {
    WordTokenizer tokenizer = WordTokenizer.build(CAPTIONS);
    int[] tokens = tokenizer.encode(List.of("red", "green", "heart"));
    assertThat(tokens).containsExactly(7, WordTokenizer.UNKNOWN, 4);
    assertThat(tokenizer.decode(tokens)).containsExactly("red", "<unknown>", "heart");
    assertThat(tokenizer.decode(WordTokenizer.BEGIN, 7, WordTokenizer.END, 4, WordTokenizer.PAD))
        .containsExactly("red");
  }

  @Test
  void build_captionWithASpecialWord_doesNotAddItTwice() {
    assertThat(WordTokenizer.build(List.of(List.of("<pad>", "a"))).vocabularySize()).isEqualTo(5);
  }

  @Test
  void toJsonThenFromJson_givesAnEqualTokenizer() {
    WordTokenizer tokenizer = WordTokenizer.build(List.of(List.of("c\u00f4te", "d'ivoire", "#")));
    assertThat(WordTokenizer.fromJson("vocabulary.json", tokenizer.toJson())).isEqualTo(tokenizer);
    assertThatThrownBy(() -> WordTokenizer.fromJson("v.json", "{\"vocabulary\":[\"a\"]}"))
        .isInstanceOf(DatasetException.class)
        .hasMessageStartingWith("v.json: the vocabulary does not begin with [<pad>");
    assertThatThrownBy(
            () ->
                WordTokenizer.fromJson(
                    "v.json", tokenizer.toJson().replace("\"#\"", "\"d'ivoire\"")))
        .hasMessage("v.json: a word is there twice");
  }

  @Test
  void coverage_ofTheHeldOutCaptions_isWhatTheTrainingWordsAllow() {
    EmojiDataset dataset = EmojiDataset.open(new DataConfig("emoji", 10, null), 7);
    WordTokenizer tokenizer =
        WordTokenizer.build(dataset.training().stream().map(Emoji::words).toList());
    WordTokenizer.Coverage trained =
        tokenizer.coverage(dataset.training().stream().map(Emoji::words).toList());
    assertThat(trained.knownWords()).isEqualTo(trained.words());
    assertThat(trained.sayableCaptions()).isEqualTo(1720);
    WordTokenizer.Coverage heldOut =
        tokenizer.coverage(dataset.heldOut().stream().map(Emoji::words).toList());
    assertThat(heldOut.captions()).isEqualTo(191);
    assertThat(heldOut.sayableCaptions()).isBetween(70, 90);
    assertThat((double) heldOut.knownWords() / heldOut.words()).isBetween(0.65, 0.8);
  }

  @Test
  void metrics_countWordsAsOftenAsBothHaveThem() {
    assertThat(CaptionMetrics.wordF1(List.of("a", "b"), List.of("b", "a"))).isEqualTo(1);
    assertThat(CaptionMetrics.wordF1(List.of("a", "a", "a"), List.of("a", "b"))).isEqualTo(0.4);
    assertThat(CaptionMetrics.wordF1(List.of("c"), List.of("a"))).isZero();
    assertThat(CaptionMetrics.wordF1(List.of(), List.of("a"))).isZero();
    CaptionMetrics metrics =
        CaptionMetrics.of(
            List.of(
                new CaptionMetrics.Pair(List.of("a", "b"), List.of("a", "b")),
                new CaptionMetrics.Pair(List.of("b", "a"), List.of("a", "b")),
                new CaptionMetrics.Pair(List.of("a"), List.of("a", "b", "c"))));
    assertThat(metrics.captions()).isEqualTo(3);
    assertThat(metrics.wordF1()).isEqualTo((1 + 1 + 0.5) / 3);
    assertThat(metrics.exactMatch()).isEqualTo(1.0 / 3);
  }
}
