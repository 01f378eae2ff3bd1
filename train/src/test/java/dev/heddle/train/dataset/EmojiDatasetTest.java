package dev.heddle.train.dataset;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.train.config.DataConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class EmojiDatasetTest {
  private static final DataConfig SHIPPED = new DataConfig(DataConfig.EMOJI, 10, null);
  private static final EmojiDataset DATASET = EmojiDataset.open(SHIPPED, 7);

  @TempDir Path folder;

  private static float[] read(EmojiDataset dataset, int size, Sample sample) {
    PictureReader reader = dataset.pictures(size);
    return read(reader, target -> reader.readTraining(sample, target, 0));
  }

  private static float[] read(
      PictureReader reader, java.util.function.Consumer<MemorySegment> action) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = arena.allocate(4L * reader.pictureLength(), 4);
      action.accept(target);
      return target.toArray(ValueLayout.JAVA_FLOAT);
    }
  }

  @Test
  void open_theShippedSet_splitsByLineNumber() {
    assertThat(DATASET.heldOut()).hasSize(191).allMatch(emoji -> emoji.line() % 10 == 0);
    assertThat(DATASET.training()).hasSize(1720).noneMatch(emoji -> emoji.line() % 10 == 0);
    assertThat(DATASET.training().getFirst().caption()).isEqualTo("grinning face");
    assertThat(DATASET.evaluationSets())
        .extracting(set -> set.style() + " " + set.emoji().size())
        .containsExactly("GOOGLE 191", "TWITTER 1720", "TWITTER 191");
    assertThat(DATASET.evaluationSets().get(1).limit(7).emoji())
        .extracting(Emoji::line)
        .hasSize(7)
        .isSorted()
        .startsWith(1);
  }

  @Test
  void longestCaption_ofTheShippedSet_isWhatTheConfigurationReckonsWith() {
    List<Emoji> all = new ArrayList<>(DATASET.training());
    all.addAll(DATASET.heldOut());
    int longest = all.stream().mapToInt(emoji -> emoji.words().size()).max().orElseThrow();
    assertThat(longest + 2).isEqualTo(DataConfig.EMOJI_TEXT_LENGTH);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "grinning face | grinning face",
        "flag: C\u00f4te d\u2019Ivoire | flag c\u00f4te d'ivoire",
        "flag: Sa\u0303o Tom\u00e9 & Pr\u00edncipe | flag s\u00e3o tom\u00e9 pr\u00edncipe",
        "flag: U.S. Outlying Islands | flag u.s outlying islands",
        "Mrs. Claus | mrs claus",
        "twelve o\u2019clock | twelve o'clock",
        "keycap: # | keycap #",
        "keycap: 10 | keycap 10",
        "Japanese \u201cfree of charge\u201d button | japanese free of charge button",
        "A button (blood type) | a button blood type",
        "right-facing fist | right facing fist",
        "UP! button | up button",
      })
  void words_ofAName_areLowerCaseWithoutPunctuation(String name, String words) {
    assertThat(String.join(" ", CaptionWords.of(name))).isEqualTo(words);
  }

  @Test
  void read_aDrawing_isOnWhiteAndNormalised() {
    Emoji redHeart =
        DATASET.training().stream()
            .filter(emoji -> emoji.caption().equals("red heart"))
            .findFirst()
            .orElseThrow();
    int[] pixels = DATASET.pixels(redHeart, DrawingStyle.GOOGLE);
    assertThat(pixels[0]).as("the corner is white").isEqualTo(0xffffff);
    int middle = pixels[16 * 32 + 16];
    assertThat(middle >> 16 & 255).as("red").isGreaterThan(180);
    assertThat(middle >> 8 & 255).as("green").isLessThan(90);
    PictureReader reader = DATASET.pictures(32);
    float[] picture = read(reader, target -> reader.read(redHeart, DrawingStyle.GOOGLE, target, 0));
    assertThat(picture).hasSize(3 * 32 * 32);
    float white = picture[0];
    assertThat(picture[32 * 32]).isEqualTo(white);
    assertThat(picture[16 * 32 + 16]).as("red of the middle").isGreaterThan(0);
    assertThat(picture[32 * 32 + 16 * 32 + 16]).as("green of the middle").isLessThan(-1);
    assertThat(reader.pictureCount()).isEqualTo(1);
  }

  @Test
  void read_allTrainingDrawings_haveAboutMeanZeroAndDeviationOne() {
    double sum = 0;
    double squares = 0;
    long count = 0;
    PictureReader reader = DATASET.pictures(32);
    for (Emoji emoji : DATASET.training()) {
      for (float value :
          read(reader, target -> reader.read(emoji, DrawingStyle.GOOGLE, target, 0))) {
        sum += value;
        squares += (double) value * value;
        count++;
      }
    }
    double mean = sum / count;
    assertThat(mean).isCloseTo(0, within(0.02));
    assertThat(Math.sqrt(squares / count - mean * mean)).isCloseTo(1, within(0.02));
  }

  @Test
  void readTraining_sameSeedEpochAndExample_isTheSameWhoeverReadsAndInWhateverOrder() {
    EmojiDataset other = EmojiDataset.open(SHIPPED, 7);
    Sample sample = new Sample(123, 4);
    float[] first = read(DATASET, 32, sample);
    read(other, 32, new Sample(5, 0));
    assertThat(read(other, 32, sample)).isEqualTo(first);
    assertThat(read(DATASET, 32, new Sample(123, 5))).as("another epoch").isNotEqualTo(first);
    assertThat(read(EmojiDataset.open(SHIPPED, 8), 32, sample))
        .as("another seed")
        .isNotEqualTo(first);
  }

  @Test
  void readTraining_withoutAugmentation_isTheDrawing() {
    EmojiDataset plain = EmojiDataset.open(SHIPPED, 7, Augmentation.NONE);
    PictureReader reader = plain.pictures(32);
    Emoji emoji = plain.training().get(40);
    assertThat(read(plain, 32, new Sample(40, 3)))
        .isEqualTo(read(reader, target -> reader.read(emoji, DrawingStyle.GOOGLE, target, 0)));
  }

  @Test
  void readTraining_augmented_staysNearTheDrawing() {
    PictureReader reader = DATASET.pictures(32);
    double near = 0;
    double far = 0;
    for (int example = 0; example < 100; example++) {
      float[] changed = read(DATASET, 32, new Sample(example, 1));
      near += distance(changed, drawing(reader, example));
      far += distance(changed, drawing(reader, example + 800));
    }
    assertThat(near).isLessThan(0.5 * far);
  }

  private static float[] drawing(PictureReader reader, int example) {
    Emoji emoji = DATASET.training().get(example);
    return read(reader, target -> reader.read(emoji, DrawingStyle.GOOGLE, target, 0));
  }

  private static double distance(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.abs(a[i] - b[i]);
    }
    return sum;
  }

  @ParameterizedTest
  @ValueSource(ints = {8, 16, 64})
  void read_anotherSize_keepsTheAverageColour(int size) {
    PictureReader full = DATASET.pictures(32);
    PictureReader resized = DATASET.pictures(size);
    for (int example = 0; example < 1700; example += 170) {
      Emoji emoji = DATASET.training().get(example);
      float[] expected = read(full, target -> full.read(emoji, DrawingStyle.TWITTER, target, 0));
      float[] actual =
          read(resized, target -> resized.read(emoji, DrawingStyle.TWITTER, target, 0));
      assertThat(actual).hasSize(3 * size * size);
      assertThat(mean(actual)).isCloseTo(mean(expected), within(0.02));
    }
  }

  private static double mean(float[] values) {
    double sum = 0;
    for (float value : values) {
      sum += value;
    }
    return sum / values.length;
  }

  @Test
  void read_atAnOffset_touchesNothingElse() {
    PictureReader reader = DATASET.pictures(32);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment target = arena.allocate(4L * 3 * reader.pictureLength());
      target.fill((byte) 0x55);
      reader.readTraining(new Sample(3, 0), target, 4L * reader.pictureLength());
      byte[] around = target.asSlice(0, 4L * reader.pictureLength()).toArray(ValueLayout.JAVA_BYTE);
      assertThat(around).containsOnly(0x55);
      around = target.asSlice(8L * reader.pictureLength()).toArray(ValueLayout.JAVA_BYTE);
      assertThat(around).containsOnly(0x55);
    }
  }

  private Path ownData(String list) throws IOException {
    Files.writeString(folder.resolve("emoji.jsonl"), list);
    BufferedImage image = new BufferedImage(34, 34, BufferedImage.TYPE_INT_ARGB);
    image.setRGB(1, 1, 0x80ff0000);
    ImageIO.write(image, "png", folder.resolve("google-32.png").toFile());
    Files.writeString(folder.resolve("twitter-32.png"), "not a picture");
    return folder;
  }

  private static String line(String label, int x) {
    return "{\"code\":\"1\",\"label\":\"%s\",\"category\":\"c\",\"x\":%d,\"y\":0}\n"
        .formatted(label, x);
  }

  @Test
  void open_ownFolder_readsItsFiles() throws IOException {
    Path own = ownData(line("one", 0) + line("two", 1));
    EmojiDataset dataset = EmojiDataset.open(new DataConfig("emoji", 2, own), 1);
    assertThat(dataset.training()).extracting(Emoji::caption).containsExactly("one");
    int[] pixels = dataset.pixels(dataset.training().getFirst(), DrawingStyle.GOOGLE);
    assertThat(pixels[0]).as("half-transparent red on white").isEqualTo(0xff7f7f);
    assertThat(pixels[1]).as("transparent on white").isEqualTo(0xffffff);
    assertThatThrownBy(() -> dataset.pixels(dataset.heldOut().getFirst(), DrawingStyle.GOOGLE))
        .isInstanceOf(DatasetException.class)
        .hasMessage(
            own.resolve("google-32.png")
                + ": the picture of 34 x 34 pixels has no cell 1, 0, which line 2 of the list"
                + " names");
    assertThatThrownBy(() -> dataset.pixels(dataset.heldOut().getFirst(), DrawingStyle.TWITTER))
        .hasMessage(own.resolve("twitter-32.png") + ": not a picture in a format that Java reads");
  }

  @Test
  void open_pictureCutShort_isRefusedByName() throws IOException {
    Path own = ownData(line("one", 0) + line("two", 1));
    byte[] sheet = EmojiDatasetTest.class.getResourceAsStream("emoji/google-32.png").readAllBytes();
    Files.write(own.resolve("google-32.png"), java.util.Arrays.copyOf(sheet, 5000));
    EmojiDataset dataset = EmojiDataset.open(new DataConfig("emoji", 2, own), 1);
    assertThatThrownBy(() -> dataset.pixels(dataset.training().getFirst(), DrawingStyle.GOOGLE))
        .isInstanceOf(DatasetException.class)
        .hasMessageStartingWith(own.resolve("google-32.png") + ": a damaged picture");
  }

  @Test
  void open_listThatCannotBeUsed_namesTheLine() throws IOException {
    String file = folder.resolve("emoji.jsonl").toString();
    DataConfig config = new DataConfig("emoji", 2, folder);
    assertThatThrownBy(() -> EmojiDataset.open(config, 1))
        .hasMessage(file + ": there is no such file");
    ownData(line("one", 0) + "{\"code\":");
    assertThatThrownBy(() -> EmojiDataset.open(config, 1)).hasMessageStartingWith(file + ":2: ");
    ownData(line("one", 0).replace("\"label\"", "\"name\""));
    assertThatThrownBy(() -> EmojiDataset.open(config, 1))
        .hasMessage(file + ":1: label is missing, not a text");
    ownData(line("one", -1));
    assertThatThrownBy(() -> EmojiDataset.open(config, 1))
        .hasMessage(file + ":1: x is -1, not a cell of a sheet");
    ownData(line(String.join(" ", Collections.nCopies(20, "very")), 0));
    assertThatThrownBy(() -> EmojiDataset.open(config, 1))
        .hasMessageContaining("has 20 words, a caption has 1 to 8");
    ownData(line("one", 0));
    assertThatThrownBy(() -> EmojiDataset.open(config, 1))
        .hasMessage(file + ": has 1 emoji, and holdOut 2 leaves 1 to train on and 0 held out");
  }
}
