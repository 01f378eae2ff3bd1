package dev.heddle.parity;

import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.train.dataset.Spectrogram;
import dev.heddle.train.model.CaptionModel;
import dev.heddle.train.model.FusedBatch;
import dev.heddle.train.model.LanguageProgram.Captions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * The samples of a step: made-up pictures and captions of uneven length, a function of the step
 * alone. Which of them a rank needs is worked out here by the rule of the documentation, not by the
 * trainer's code.
 *
 * @param pictures for each sample 3 x H x W numbers
 * @param clips for each sample the values of its rows of sound, none for some; no arrays for a
 *     model that does not hear
 * @param words for each sample the words that are read
 * @param targets for each sample the words that follow, -1 where none counts
 */
record TinyBatch(float[][] pictures, float[][] clips, int[][] words, int[][] targets) {
  private static final int CLIP_ROW = 2 * Spectrogram.BANDS;

  /**
   * The batch of a step.
   *
   * @param padded samples without any valid target
   * @param textOnly samples without a picture
   * @param hearing whether samples have clips
   */
  static TinyBatch of(
      long step,
      int samples,
      int vocabulary,
      int textLength,
      int[] padded,
      int[] textOnly,
      boolean hearing) {
    Random random = new Random(7919 * step + 1);
    int picture = 3 * TinyModel.IMAGE_SIZE * TinyModel.IMAGE_SIZE;
    float[][] pictures = new float[samples][picture];
    int[][] words = new int[samples][textLength];
    int[][] targets = new int[samples][textLength];
    for (int sample = 0; sample < samples; sample++) {
      int index = sample;
      boolean empty = Arrays.stream(padded).anyMatch(p -> p == index);
      int length = empty ? 0 : 1 + random.nextInt(textLength);
      for (int i = 0; i < picture; i++) {
        pictures[sample][i] = random.nextFloat() - 0.5f;
      }
      for (int i = 0; i < textLength; i++) {
        words[sample][i] = random.nextInt(vocabulary);
        targets[sample][i] = i < length ? random.nextInt(vocabulary) : -1;
      }
    }
    for (int sample : textOnly) {
      pictures[sample] = new float[0];
    }
    return new TinyBatch(pictures, hearing ? clips(step, samples) : new float[0][], words, targets);
  }

  /** From none to the most rows, another number for each neighbour. */
  private static float[][] clips(long step, int samples) {
    Random random = new Random(104729 * step + 1);
    float[][] clips = new float[samples][];
    for (int sample = 0; sample < samples; sample++) {
      int rows = (int) ((2 * sample + step + 3) % (TinyModel.MOST_CLIP_ROWS + 1));
      clips[sample] = new float[rows * CLIP_ROW];
      for (int i = 0; i < clips[sample].length; i++) {
        clips[sample][i] = random.nextFloat(-1, 1);
      }
    }
    return clips;
  }

  int samples() {
    return pictures.length;
  }

  /** The valid targets of all samples: N. */
  long validTokens() {
    return Arrays.stream(targets).flatMapToInt(Arrays::stream).filter(t -> t >= 0).count();
  }

  /** For each microbatch the pictures of this rank's part of the component's samples. */
  float[][] picturesOf(Mesh mesh, int rank, int microBatches) {
    return joined(pictures, mesh, rank, microBatches);
  }

  /** For each microbatch the clips of this rank's part of the component's samples. */
  float[][] clipsOf(Mesh mesh, int rank, int microBatches) {
    return joined(clips, mesh, rank, microBatches);
  }

  /** For each microbatch the rows of each clip that {@link #clipsOf} has. */
  int[][] clipRowsOf(Mesh mesh, int rank, int microBatches) {
    int[][] rows = new int[microBatches][];
    for (int m = 0; m < microBatches; m++) {
      Interval mine = samplesOf(mesh, rank, microBatches, m);
      rows[m] =
          Arrays.stream(clips, (int) mine.start(), (int) mine.end())
              .mapToInt(clip -> clip.length / CLIP_ROW)
              .toArray();
    }
    return rows;
  }

  private float[][] joined(float[][] values, Mesh mesh, int rank, int microBatches) {
    float[][] parts = new float[microBatches][];
    for (int m = 0; m < microBatches; m++) {
      Interval mine = samplesOf(mesh, rank, microBatches, m);
      int length = 0;
      for (long i = mine.start(); i < mine.end(); i++) {
        length += values[(int) i].length;
      }
      parts[m] = new float[length];
      int next = 0;
      for (long i = mine.start(); i < mine.end(); i++) {
        float[] own = values[(int) i];
        System.arraycopy(own, 0, parts[m], next, own.length);
        next += own.length;
      }
    }
    return parts;
  }

  /** For each microbatch how many pictures {@link #picturesOf} has. */
  int[] pictureCountsOf(Mesh mesh, int rank, int microBatches) {
    int[] counts = new int[microBatches];
    for (int m = 0; m < microBatches; m++) {
      Interval mine = samplesOf(mesh, rank, microBatches, m);
      for (long i = mine.start(); i < mine.end(); i++) {
        counts[m] += pictures[(int) i].length > 0 ? 1 : 0;
      }
    }
    return counts;
  }

  /** The lengths of a microbatch's sequences. */
  FusedBatch fused(int microBatches, int microBatch, boolean packed) {
    Interval part = Split.part(samples(), microBatches, microBatch);
    int[] rows = new int[(int) part.size()];
    int[] text = new int[rows.length];
    for (int i = 0; i < rows.length; i++) {
      int sample = (int) part.start() + i;
      rows[i] = pictures[sample].length > 0 ? TinyModel.CONFIG.vision().patchCount() : 0;
      text[i] = words[sample].length;
    }
    Map<String, int[]> encoders = new LinkedHashMap<>();
    encoders.put(CaptionModel.VISION, rows);
    if (clips.length > 0) {
      encoders.put(
          CaptionModel.AUDIO,
          Arrays.stream(clips, (int) part.start(), (int) part.end())
              .mapToInt(clip -> clip.length / CLIP_ROW)
              .toArray());
    }
    return new FusedBatch(encoders, text, packed);
  }

  /** For each microbatch the captions of this rank's part of the component's samples. */
  List<Captions> captionsOf(Mesh mesh, int rank, int microBatches, boolean packed) {
    List<Captions> parts = new ArrayList<>();
    for (int m = 0; m < microBatches; m++) {
      Interval mine = samplesOf(mesh, rank, microBatches, m);
      int start = (int) mine.start();
      int end = (int) mine.end();
      long before = Split.part(samples(), microBatches, m).start();
      parts.add(
          new Captions(
              fused(microBatches, m, packed),
              new Interval(mine.start() - before, mine.end() - before),
              Arrays.copyOfRange(words, start, end),
              Arrays.copyOfRange(targets, start, end)));
    }
    return parts;
  }

  /** Consecutive microbatches, each cut over the data-parallel coordinates. */
  private Interval samplesOf(Mesh mesh, int rank, int microBatches, int microBatch) {
    Interval part = Split.part(samples(), microBatches, microBatch);
    Interval mine = Split.part(part.size(), mesh.size(Axis.DP), mesh.coordinate(rank, Axis.DP));
    return new Interval(part.start() + mine.start(), part.start() + mine.end());
  }
}
