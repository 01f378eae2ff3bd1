package dev.heddle.train.dataset;

import dev.heddle.train.config.DataConfig;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/**
 * Pictures of emoji with their names, split by emoji: those whose line number is 0 modulo {@code
 * holdOut} are held out, in every drawing style. Training uses the Google drawings of the others.
 *
 * <p>Opening reads the list (names, cells), not the drawings. A sheet is decoded when the first of
 * its drawings is asked for, once per process; a drawing is cut out when a rank asks for it. The
 * index of the spoken words is likewise read when it is first needed, and the sounds when the first
 * one is. Safe for use by many threads; each has its own {@link PictureReader} and {@link
 * SoundReader}.
 */
public final class EmojiDataset {
  private final DataFiles files;
  private final List<Emoji> training;
  private final List<Emoji> heldOut;
  private final long seed;
  private final Augmentation augmentation;
  private final Map<DrawingStyle, SpriteSheet> sheets = new EnumMap<>(DrawingStyle.class);
  private final Map<Voice, WordRecordings> recordings = new EnumMap<>(Voice.class);

  /**
   * A question to a trained model.
   *
   * @param name what results call it
   * @param style whose drawings
   * @param emoji which emoji, in the order of the list
   */
  public record EvaluationSet(String name, DrawingStyle style, List<Emoji> emoji) {

    /** Who speaks the names: with drawings that training never sees, a voice it never hears. */
    public Voice voice() {
      return style == DrawingStyle.GOOGLE ? Voice.FIRST : Voice.SECOND;
    }

    /** At most {@code count} of its emoji, spread evenly over the list; the same every time. */
    public EvaluationSet limit(int count) {
      if (emoji.size() <= count) {
        return this;
      }
      List<Emoji> some =
          java.util.stream.IntStream.range(0, count)
              .mapToObj(i -> emoji.get((int) ((long) i * emoji.size() / count)))
              .toList();
      return new EvaluationSet(name, style, some);
    }
  }

  private EmojiDataset(
      DataFiles files,
      List<Emoji> training,
      List<Emoji> heldOut,
      long seed,
      Augmentation augmentation) {
    this.files = files;
    this.training = training;
    this.heldOut = heldOut;
    this.seed = seed;
    this.augmentation = augmentation;
  }

  /**
   * Opens a data set with the augmentation that training uses.
   *
   * @throws DatasetException when the list cannot be read or one side of the split is empty
   */
  public static EmojiDataset open(DataConfig config, long seed) {
    return open(config, seed, Augmentation.TRAINING);
  }

  /**
   * Opens a data set.
   *
   * @param config which, and how it is split
   * @param seed the seed of the augmentation
   * @param augmentation how far training pictures may differ from the drawings
   * @throws DatasetException when the list cannot be read or one side of the split is empty
   */
  public static EmojiDataset open(DataConfig config, long seed, Augmentation augmentation) {
    DataFiles files = new DataFiles(config.path());
    List<Emoji> all = EmojiList.read(files);
    List<Emoji> heldOut = all.stream().filter(e -> e.line() % config.holdOut() == 0).toList();
    List<Emoji> training = all.stream().filter(e -> e.line() % config.holdOut() != 0).toList();
    if (heldOut.isEmpty() || training.isEmpty()) {
      throw new DatasetException(
          files.name(EmojiList.FILE),
          "has %d emoji, and holdOut %d leaves %d to train on and %d held out"
              .formatted(all.size(), config.holdOut(), training.size(), heldOut.size()));
    }
    return new EmojiDataset(files, training, heldOut, seed, augmentation);
  }

  /** The emoji to train on, in the order of the list; a sample's example is an index into it. */
  public List<Emoji> training() {
    return training;
  }

  /** The emoji that training never sees, in the order of the list. */
  public List<Emoji> heldOut() {
    return heldOut;
  }

  /** The three questions, from the nearest to training to the farthest. */
  public List<EvaluationSet> evaluationSets() {
    return List.of(
        new EvaluationSet("held-out emoji, Google drawings", DrawingStyle.GOOGLE, heldOut),
        new EvaluationSet("trained emoji, Twitter drawings", DrawingStyle.TWITTER, training),
        new EvaluationSet("held-out emoji, Twitter drawings", DrawingStyle.TWITTER, heldOut));
  }

  /** The words of a training example's caption. */
  public List<String> caption(BatchPlan.Sample sample) {
    return training.get(sample.example()).words();
  }

  /**
   * A reader of pictures for one rank.
   *
   * @param size side of the pictures in pixels; other than 32 they are resized
   */
  public PictureReader pictures(int size) {
    return new PictureReader(this, size);
  }

  /** A reader of spoken names for one rank. */
  public SoundReader sounds() {
    return new SoundReader(this);
  }

  /**
   * Frames of an emoji's spoken name: known from the index of the recordings, none is read.
   *
   * @throws DatasetException when the recordings cannot be used, lack a word or are too long
   */
  public int frameCount(Emoji emoji, Voice voice) {
    int frames = Spectrogram.frameCount(SoundReader.sampleCount(recordings(voice), emoji.words()));
    if (frames > DataConfig.EMOJI_LONGEST_SOUND) {
      throw new DatasetException(
          files.name(voice.fileName()),
          "'%s' is %d frames long, a name has at most %d"
              .formatted(emoji.caption(), frames, DataConfig.EMOJI_LONGEST_SOUND));
    }
    return frames;
  }

  /** Frames of a training example's spoken name. */
  public int frameCount(BatchPlan.Sample sample) {
    return frameCount(training.get(sample.example()), Voice.FIRST);
  }

  /**
   * A drawing on white as it is, for people to look at.
   *
   * @return 32 x 32 pixels, row by row, as 0xRRGGBB
   */
  public int[] pixels(Emoji emoji, DrawingStyle style) {
    int[] pixels = new int[SpriteSheet.PICTURE * SpriteSheet.PICTURE];
    sheet(style).cut(emoji, pixels);
    return pixels;
  }

  Augmentation.Change change(BatchPlan.Sample sample) {
    return augmentation.draw(seed, sample.epoch(), sample.example());
  }

  boolean augmented() {
    return !augmentation.equals(Augmentation.NONE);
  }

  long seed() {
    return seed;
  }

  WordRecordings recordings(Voice voice) {
    synchronized (recordings) {
      WordRecordings opened = recordings.get(voice);
      if (opened == null) {
        opened = WordRecordings.open(files, voice.fileName());
        recordings.put(voice, opened);
      }
      return opened;
    }
  }

  SpriteSheet sheet(DrawingStyle style) {
    synchronized (sheets) {
      SpriteSheet sheet = sheets.get(style);
      if (sheet == null) {
        sheet = SpriteSheet.read(files, style.fileName());
        sheets.put(style, sheet);
      }
      return sheet;
    }
  }
}
