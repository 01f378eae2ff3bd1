package dev.heddle.train.model;

import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.Arrays;

/**
 * The fused sequences of some samples, as index arrays on a device. Sample s takes the rows {@code
 * s length} to {@code (s + 1) length - 1}: first its image rows, then its words.
 *
 * @param sampleCount number of samples
 * @param length positions of a sequence
 * @param ids [samples length] I64: the word at each position, -1 where an image row stands
 * @param imagePositions [image rows] I64: the position of each image row, in the order of the rows
 * @param scoredPositions [scored] I64: the positions after which a word is predicted
 * @param targets [scored] I64: the word to be predicted, -1 where none counts
 * @param validTokens how many targets count
 */
public record Sequences(
    int sampleCount,
    int length,
    NDArray ids,
    NDArray imagePositions,
    NDArray scoredPositions,
    NDArray targets,
    long validTokens) {

  /**
   * Sequences of {@code imageRows} image rows followed by words.
   *
   * @param words for each sample the words that are read, all of the same number
   * @param targets for each sample, by the same positions, the word that follows, or -1
   */
  public static Sequences of(Device device, int imageRows, int[][] words, int[][] targets) {
    int samples = words.length;
    int textLength = samples == 0 ? 0 : words[0].length;
    int length = imageRows + textLength;
    long[] ids = new long[samples * length];
    long[] images = new long[samples * imageRows];
    long[] scored = new long[samples * textLength];
    long[] wanted = new long[samples * textLength];
    Arrays.fill(ids, -1);
    long valid = 0;
    for (int s = 0; s < samples; s++) {
      for (int i = 0; i < imageRows; i++) {
        images[s * imageRows + i] = (long) s * length + i;
      }
      for (int t = 0; t < textLength; t++) {
        int position = s * length + imageRows + t;
        ids[position] = words[s][t];
        scored[s * textLength + t] = position;
        wanted[s * textLength + t] = targets[s][t];
        valid += targets[s][t] >= 0 ? 1 : 0;
      }
    }
    return new Sequences(
        samples,
        length,
        NDArray.of(device, Shape.of(ids.length), ids),
        NDArray.of(device, Shape.of(images.length), images),
        NDArray.of(device, Shape.of(scored.length), scored),
        NDArray.of(device, Shape.of(wanted.length), wanted),
        valid);
  }

  /**
   * Sequences whose next word is asked for: only the last position of each is scored.
   *
   * @param words for each sample the words so far, all of the same number
   */
  public static Sequences continuations(Device device, int imageRows, int[][] words) {
    int[][] none = new int[words.length][words.length == 0 ? 0 : words[0].length];
    Sequences all = of(device, imageRows, words, none);
    long[] last = new long[words.length];
    for (int s = 0; s < last.length; s++) {
      last[s] = (long) (s + 1) * all.length - 1;
    }
    NDArray scored = NDArray.of(device, Shape.of(last.length), last);
    return new Sequences(
        all.sampleCount, all.length, all.ids, all.imagePositions, scored, scored, last.length);
  }
}
