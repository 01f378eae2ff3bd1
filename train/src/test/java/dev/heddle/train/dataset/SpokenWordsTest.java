package dev.heddle.train.dataset;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.train.config.DataConfig;
import dev.heddle.train.dataset.BatchPlan.Sample;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The shipped recordings, what is read of them, and what is refused. */
class SpokenWordsTest {
  private static final DataConfig SHIPPED = new DataConfig(DataConfig.EMOJI, 10, null);
  private static final EmojiDataset DATASET = EmojiDataset.open(SHIPPED, 7);
  private static final String FILE = Voice.FIRST.fileName();

  @TempDir Path folder;

  private static List<Emoji> all() {
    List<Emoji> all = new ArrayList<>(DATASET.training());
    all.addAll(DATASET.heldOut());
    return all;
  }

  private static float[] training(EmojiDataset dataset, Sample sample) {
    float[] frames = new float[dataset.frameCount(sample) * Spectrogram.BANDS];
    int count = dataset.sounds().readTraining(sample, frames, 0);
    assertThat(count).isEqualTo(dataset.frameCount(sample));
    return frames;
  }

  @ParameterizedTest
  @EnumSource(Voice.class)
  void everyName_inEitherVoice_decodesToAsManyFramesAsTheIndexSays(Voice voice) {
    SoundReader reader = DATASET.sounds();
    int longest = 0;
    for (Emoji emoji : all()) {
      int wanted = DATASET.frameCount(emoji, voice);
      float[] frames = new float[wanted * Spectrogram.BANDS];
      Arrays.fill(frames, Float.NaN);
      assertThat(reader.read(emoji, voice, frames, 0)).isEqualTo(wanted);
      for (float value : frames) {
        assertThat(value).isBetween(Spectrogram.SILENCE, 5f);
      }
      longest = Math.max(longest, wanted);
    }
    assertThat(reader.clipCount()).isEqualTo(1911);
    assertThat(longest).isLessThanOrEqualTo(DataConfig.EMOJI_LONGEST_SOUND);
    if (voice == Voice.FIRST) {
      assertThat(DATASET.recordings(voice).voice())
          .isEqualTo("synthetic speech, eSpeak NG text-to-speech: 1.51, voice en-us");
      assertThat(DATASET.recordings(voice).wordCount()).isEqualTo(1731);
    }
  }

  @Test
  void longestName_isWhatTheConfigurationReckonsWith() {
    int longest =
        all().stream()
            .flatMapToInt(
                emoji -> Arrays.stream(Voice.values()).mapToInt(v -> DATASET.frameCount(emoji, v)))
            .max()
            .orElseThrow();
    assertThat(longest).isEqualTo(DataConfig.EMOJI_LONGEST_SOUND);
    assertThat(Arrays.stream(Voice.values()).map(Voice::fileName))
        .isEqualTo(DataConfig.EMOJI_SOUND_FILES);
  }

  @Test
  void frames_ofAllNames_haveAboutMeanZeroAndDeviationOne() {
    SoundReader reader = DATASET.sounds();
    float[] frames = new float[DataConfig.EMOJI_LONGEST_SOUND * Spectrogram.BANDS];
    double sum = 0;
    double squares = 0;
    long count = 0;
    for (Emoji emoji : DATASET.training()) {
      int values = reader.read(emoji, Voice.FIRST, frames, 0) * Spectrogram.BANDS;
      for (int i = 0; i < values; i++) {
        sum += frames[i];
        squares += (double) frames[i] * frames[i];
      }
      count += values;
    }
    double mean = sum / count;
    assertThat(mean)
        .as("deviation %s", Math.sqrt(squares / count - mean * mean))
        .isCloseTo(0, within(0.02));
    assertThat(Math.sqrt(squares / count - mean * mean)).isCloseTo(1, within(0.02));
  }

  @Test
  void readTraining_sameSeedEpochAndExample_isTheSameWhoeverReadsAndInWhateverOrder() {
    EmojiDataset other = EmojiDataset.open(SHIPPED, 7);
    Sample sample = new Sample(123, 4);
    float[] first = training(DATASET, sample);
    training(other, new Sample(5, 0));
    assertThat(training(other, sample)).containsExactly(first);
    assertThat(training(DATASET, new Sample(123, 5))).as("another epoch").isNotEqualTo(first);
    assertThat(training(EmojiDataset.open(SHIPPED, 8), sample))
        .as("another seed")
        .isNotEqualTo(first);
    EmojiDataset plain = EmojiDataset.open(SHIPPED, 7, Augmentation.NONE);
    float[] name = new float[first.length];
    plain.sounds().read(plain.training().get(123), Voice.FIRST, name, 0);
    assertThat(training(plain, sample)).containsExactly(name).isNotEqualTo(first);
  }

  @Test
  void read_byManyThreadsAtOnce_isTheSameAsByOne() {
    EmojiDataset fresh = EmojiDataset.open(SHIPPED, 7);
    ConcurrentHashMap<Integer, float[]> found = new ConcurrentHashMap<>();
    IntStream.range(0, 40)
        .parallel()
        .forEach(i -> found.put(i, training(fresh, new Sample(i % 10, 1))));
    for (int i = 0; i < 40; i++) {
      assertThat(found.get(i)).containsExactly(training(DATASET, new Sample(i % 10, 1)));
    }
  }

  @Test
  void name_ofTwoWords_isTheWordsWithAPauseBetween() {
    Emoji emoji = DATASET.training().getFirst();
    WordRecordings recordings = DATASET.recordings(Voice.FIRST);
    assertThat(emoji.caption()).isEqualTo("grinning face");
    int samples =
        recordings.sampleCount("grinning")
            + SoundReader.GAP_SAMPLES
            + recordings.sampleCount("face");
    assertThat(DATASET.frameCount(emoji, Voice.FIRST))
        .isEqualTo(Spectrogram.frameCount(samples))
        .isBetween(40, 150);
    assertThat(recordings.sampleCount("grinning")).as("0.2 to 0.8 s").isBetween(1600, 6400);
  }

  @Test
  void decode_ofWhatAnEncoderWrote_isNearTheSound() {
    float[] sound = new float[901];
    for (int i = 0; i < sound.length; i++) {
      sound[i] = (float) (0.6 * Math.sin(i * 0.21) * Math.sin(i * 0.003));
    }
    byte[] coded = new byte[ImaAdpcm.byteCount(sound.length)];
    float[] decoded = new float[sound.length];
    // The encoder asks the decoder which of the 16 codes comes nearest.
    for (int i = 0; i < sound.length; i++) {
      int best = 0;
      float nearest = Float.MAX_VALUE;
      byte kept = coded[i / 2];
      for (int code = 0; code < 16; code++) {
        coded[i / 2] = (byte) (i % 2 == 0 ? code << 4 : kept | code);
        ImaAdpcm.decode(coded, 0, i + 1, decoded, 0);
        float distance = Math.abs(decoded[i] - sound[i]);
        if (distance < nearest) {
          nearest = distance;
          best = code;
        }
      }
      coded[i / 2] = (byte) (i % 2 == 0 ? best << 4 : kept | best);
    }
    ImaAdpcm.decode(coded, 0, sound.length, decoded, 0);
    for (int i = 0; i < sound.length; i++) {
      assertThat(decoded[i]).as("sample %d", i).isCloseTo(sound[i], within(0.03f));
    }
  }

  @Test
  void decode_ofTheLargestSteps_staysWithinRange() {
    byte[] up = new byte[100];
    Arrays.fill(up, (byte) 0x77);
    float[] decoded = new float[200];
    ImaAdpcm.decode(up, 0, 200, decoded, 0);
    // The first codes by hand: 0 + (15 x 7 >> 3), then step 16: + (15 x 16 >> 3).
    assertThat(decoded[0] * 32768).isEqualTo(13);
    assertThat(decoded[1] * 32768).isEqualTo(13 + 30);
    assertThat(decoded[199] * 32768).isEqualTo(32767);
    Arrays.fill(up, (byte) 0xff);
    ImaAdpcm.decode(up, 0, 200, decoded, 0);
    assertThat(decoded[199]).isEqualTo(-1);
  }

  private byte[] shipped() throws IOException {
    try (InputStream stream = new DataFiles(null).open(FILE)) {
      return stream.readAllBytes();
    }
  }

  private WordRecordings written(byte[] bytes) throws IOException {
    Files.write(folder.resolve(FILE), bytes);
    return WordRecordings.open(new DataFiles(folder), FILE);
  }

  @Test
  void file_thatIsWhole_isReadFromAFolder() throws IOException {
    WordRecordings recordings = written(shipped());
    float[] samples = new float[recordings.sampleCount("face")];
    recordings.decode("face", samples, 0);
    float[] wanted = new float[samples.length];
    DATASET.recordings(Voice.FIRST).decode("face", wanted, 0);
    assertThat(samples).containsExactly(wanted);
  }

  @Test
  void file_cutShort_isRefusedWithItsNameAndBothLengths() throws IOException {
    byte[] whole = shipped();
    String name = folder.resolve(FILE).toString();
    assertThatThrownBy(() -> written(Arrays.copyOf(whole, 10)))
        .hasMessage(name + ": not a file of spoken words: it does not begin with HDLWORDS");
    assertThatThrownBy(() -> written(Arrays.copyOf(whole, 1000)))
        .isInstanceOf(DatasetException.class)
        .hasMessageMatching(".*words-a.ima: ends after 1000 bytes, within its head of \\d+");
    WordRecordings recordings = written(Arrays.copyOf(whole, whole.length - 1));
    assertThatThrownBy(() -> recordings.decode("face", new float[9000], 0))
        .hasMessage(
            name + ": has %d bytes, its head says %d".formatted(whole.length - 1, whole.length));
    WordRecordings longer = written(Arrays.copyOf(whole, whole.length + 1));
    assertThatThrownBy(() -> longer.decode("face", new float[9000], 0))
        .hasMessageContaining("has %d bytes".formatted(whole.length + 1));
  }

  @Test
  void file_edited_isRefusedWithWhatWasChanged() throws IOException {
    byte[] edited = shipped();
    edited[5000] ^= 1;
    assertThatThrownBy(() -> written(edited))
        .hasMessageMatching(".*words-a.ima: its head was changed: checksum \\w{8}, wanted \\w{8}");
    byte[] sound = shipped();
    sound[sound.length - 1] ^= 1;
    WordRecordings recordings = written(sound);
    float[] samples = new float[9000];
    recordings.decode("face", samples, 0);
    String last =
        all().stream().flatMap(e -> e.words().stream()).max(String::compareTo).orElseThrow();
    assertThatThrownBy(() -> recordings.decode(last, samples, 0))
        .hasMessageMatching(".*words-a.ima: the sound of '" + last + "' was changed: checksum .*");
    byte[] version = shipped();
    version[11] = 9;
    assertThatThrownBy(() -> written(version))
        .hasMessageContaining("words-a.ima: has version 9, this program reads 1");
  }

  @Test
  void word_thatWasNotSpoken_isRefusedWithWhatToDo() {
    assertThatThrownBy(() -> DATASET.recordings(Voice.SECOND).sampleCount("heddle"))
        .hasMessage(
            "emoji/words-b.ima: has no recording of 'heddle' among its 1731 words; make the file"
                + " again with train/data/speak-emoji");
  }
}
