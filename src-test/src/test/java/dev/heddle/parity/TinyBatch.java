package dev.heddle.parity;

import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Split;
import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import dev.heddle.train.model.LanguageProgram.Captions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * The samples of a step: made-up pictures and captions of uneven length, a function of the step
 * alone. Which of them a rank needs is worked out here by the rule of the documentation, not by the
 * trainer's code.
 *
 * @param pictures for each sample 3 x H x W numbers
 * @param words for each sample the words that are read
 * @param targets for each sample the words that follow, -1 where none counts
 */
record TinyBatch(float[][] pictures, int[][] words, int[][] targets) {
  /**
   * The batch of a step.
   *
   * @param padded samples without any valid target
   */
  static TinyBatch of(long step, int samples, int vocabulary, int textLength, int[] padded) {
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
    return new TinyBatch(pictures, words, targets);
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
    float[][] parts = new float[microBatches][];
    for (int m = 0; m < microBatches; m++) {
      Interval mine = samplesOf(mesh, rank, microBatches, m);
      int length = pictures.length == 0 ? 0 : pictures[0].length;
      parts[m] = new float[(int) mine.size() * length];
      for (int i = 0; i < mine.size(); i++) {
        System.arraycopy(pictures[(int) mine.start() + i], 0, parts[m], i * length, length);
      }
    }
    return parts;
  }

  /** For each microbatch the captions of this rank's part of the component's samples. */
  List<Captions> captionsOf(Mesh mesh, int rank, int microBatches) {
    List<Captions> parts = new ArrayList<>();
    for (int m = 0; m < microBatches; m++) {
      Interval mine = samplesOf(mesh, rank, microBatches, m);
      int start = (int) mine.start();
      int end = (int) mine.end();
      parts.add(
          new Captions(
              Arrays.copyOfRange(words, start, end), Arrays.copyOfRange(targets, start, end)));
    }
    return parts;
  }

  /** Consecutive microbatches, each cut over the data-parallel coordinates. */
  private Interval samplesOf(Mesh mesh, int rank, int microBatches, int microBatch) {
    Interval part = Split.part(samples(), microBatches, microBatch);
    Interval mine =
        Split.part(part.size(), mesh.size(Axis.DP), mesh.coordinate(rank, Axis.DP));
    return new Interval(part.start() + mine.start(), part.start() + mine.end());
  }
}
