package dev.heddle.train.dataset;

import dev.heddle.train.dataset.CounterHash.Purpose;
import java.util.Arrays;
import java.util.List;

/**
 * Speaks the names of emoji for one rank: joins the recordings of a name's words, {@value
 * #GAP_SAMPLES} samples of silence between two, and computes the spectrogram. The speech is
 * synthetic.
 *
 * <p>Training hears each name a little louder or softer and from a throat a little larger or
 * smaller, by (seed, epoch, example) and so the same on every rank. That changes no length.
 *
 * <p>Each rank has its own: it keeps its buffers, so reading allocates nothing once they are large
 * enough, and counts what it has read.
 */
public final class SoundReader {
  /** Silence between two words: 40 ms. */
  static final int GAP_SAMPLES = 320;

  private static final int WARPS = 9;
  private static final double LARGEST_WARP = 0.16;
  private static final float LARGEST_GAIN = 2;

  private final EmojiDataset dataset;
  private final Spectrogram spectrogram = new Spectrogram();
  private final MelBands[] warped = new MelBands[WARPS];
  private float[] samples = new float[0];
  private long clipCount;

  SoundReader(EmojiDataset dataset) {
    this.dataset = dataset;
    for (int i = 0; i < WARPS; i++) {
      // From 1 - largest to 1 + largest; the middle one changes nothing.
      warped[i] = Spectrogram.bands(1 + LARGEST_WARP * (2.0 * i / (WARPS - 1) - 1));
    }
  }

  /** How many names were read: what the test of "no rank reads others' samples" looks at. */
  public long clipCount() {
    return clipCount;
  }

  /**
   * Reads a name as training hears it.
   *
   * @param sample which training example in which epoch
   * @param target receives {@link EmojiDataset#frameCount(BatchPlan.Sample)} frames
   * @param offset the place of the first value
   * @return how many frames
   */
  public int readTraining(BatchPlan.Sample sample, float[] target, int offset) {
    Emoji emoji = dataset.training().get(sample.example());
    if (!dataset.augmented()) {
      return read(emoji, Voice.FIRST, target, offset);
    }
    int count = speak(emoji, Voice.FIRST);
    float gain =
        (float) StrictMath.pow(LARGEST_GAIN, CounterHash.uniform(bits(sample, 0), -1f, 1f));
    for (int i = 0; i < count; i++) {
      samples[i] *= gain;
    }
    MelBands bands = warped[CounterHash.below(bits(sample, 1), WARPS)];
    spectrogram.compute(samples, count, bands, target, offset);
    return Spectrogram.frameCount(count);
  }

  /**
   * Reads a name as it is.
   *
   * @param emoji whose
   * @param voice who speaks
   * @param target receives {@link EmojiDataset#frameCount(Emoji, Voice)} frames
   * @param offset the place of the first value
   * @return how many frames
   */
  public int read(Emoji emoji, Voice voice, float[] target, int offset) {
    int count = speak(emoji, voice);
    spectrogram.compute(samples, count, target, offset);
    return Spectrogram.frameCount(count);
  }

  /** Samples of a name: known without reading any. */
  static int sampleCount(WordRecordings recordings, List<String> words) {
    int count = GAP_SAMPLES * (words.size() - 1);
    for (String word : words) {
      count += recordings.sampleCount(word);
    }
    return count;
  }

  private long bits(BatchPlan.Sample sample, int draw) {
    return CounterHash.bits(dataset.seed(), Purpose.SOUND, sample.epoch(), sample.example(), draw);
  }

  private int speak(Emoji emoji, Voice voice) {
    WordRecordings recordings = dataset.recordings(voice);
    int count = sampleCount(recordings, emoji.words());
    if (samples.length < count) {
      samples = new float[count];
    }
    int at = 0;
    for (String word : emoji.words()) {
      if (at > 0) {
        Arrays.fill(samples, at, at + GAP_SAMPLES, 0);
        at += GAP_SAMPLES;
      }
      recordings.decode(word, samples, at);
      at += recordings.sampleCount(word);
    }
    clipCount++;
    return count;
  }
}
