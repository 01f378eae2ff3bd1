package dev.heddle.train.model;

import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.nio.LongBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.LongStream;

/**
 * The fused sequences of one data lane as far as this rank has them, as indices. A rank
 * <em>holds</em> some positions of each lane between layers and works on perhaps more, the
 * <em>entered</em> ones, inside them (see {@link dev.heddle.nn.Layers}). A <em>place</em> numbers
 * either of them lane after lane: place {@code l n + i} is the i-th of n positions of lane l.
 *
 * @param spec the whole sequences
 * @param held the positions of a lane that this rank holds between layers, ascending
 * @param ids for each place entered the word there, -1 where an encoder's row or padding stands
 * @param documentPositions for each position held its number within its document
 * @param rowPlaces by encoder the place held of each of its rows, sample by sample; empty where
 *     rows are not placed by index, since they arrive at their places
 * @param scoredPlaces the places entered after which a word is predicted
 * @param targets the word to be predicted at each of them, -1 where none counts
 */
@SuppressWarnings("ArrayRecordComponent") // made once a microbatch and only read
public record Sequences(
    SequenceSpec spec,
    long[] held,
    long[] ids,
    long[] documentPositions,
    Map<String, long[]> rowPlaces,
    long[] scoredPlaces,
    long[] targets) {

  /** The sequences of samples held whole by this rank. */
  public static Sequences whole(
      FusedBatch batch, Interval samples, int[][] words, int[][] targets) {
    long[] all = LongStream.range(0, batch.sequences(samples).length()).toArray();
    return of(batch, samples, words, targets, all, all, false);
  }

  /**
   * This rank's part of the sequences of some samples.
   *
   * @param samples which samples of the batch the lane has
   * @param words for each of them the words that are read
   * @param targets for each of them, by the same positions, the word that follows, or -1
   * @param held the positions of a lane that the rank holds, ascending
   * @param entered the positions of a lane that it works on inside layers, ascending
   * @param rowsInPlace whether encoders' rows arrive at their places, among zeros
   */
  public static Sequences of(
      FusedBatch batch,
      Interval samples,
      int[][] words,
      int[][] targets,
      long[] held,
      long[] entered,
      boolean rowsInPlace) {
    return new SequenceIndex(batch, samples, words, targets, held, entered, rowsInPlace).build();
  }

  /**
   * Sequences whose next word is asked for: only the last position of each is scored.
   *
   * @param rows for each encoder the rows of each sample, as in {@link FusedBatch}
   * @param words for each sample the words so far, all of the same number
   */
  public static Sequences continuations(Map<String, int[]> rows, int[][] words) {
    int textLength = words.length == 0 ? 0 : words[0].length;
    int[] lengths = new int[words.length];
    Arrays.fill(lengths, textLength);
    FusedBatch batch = new FusedBatch(rows, lengths, false);
    int[][] last = new int[words.length][textLength];
    for (int[] targets : last) {
      Arrays.fill(targets, -1);
      targets[textLength - 1] = 0;
    }
    Sequences all = whole(batch, new Interval(0, words.length), words, last);
    long[] scored = new long[words.length];
    for (int s = 0; s < scored.length; s++) {
      scored[s] = s * all.spec.length() + batch.rows(s) + textLength - 1;
    }
    return new Sequences(
        all.spec,
        all.held,
        all.ids,
        all.documentPositions,
        all.rowPlaces,
        scored,
        new long[scored.length]);
  }

  /** How many targets count. */
  public long validTokens() {
    return Arrays.stream(targets).filter(target -> target >= 0).count();
  }

  /** All but the words: what is worked out on the host for sequences of these shapes. */
  Object shape() {
    Map<String, LongBuffer> places = new HashMap<>();
    rowPlaces.forEach((encoder, rows) -> places.put(encoder, LongBuffer.wrap(rows)));
    return List.of(
        spec,
        LongBuffer.wrap(held),
        LongBuffer.wrap(documentPositions),
        places,
        LongBuffer.wrap(scoredPlaces),
        targets.length);
  }

  /** Whether the data lane has no sample. A rank may also hold no position of samples it has. */
  public boolean isEmpty() {
    return spec.lanes() == 0 || spec.length() == 0;
  }

  /** Whether the lanes are held whole and are one document each, so places count positions. */
  boolean isWhole() {
    return held.length == spec.length() && spec.documentCount() <= 1;
  }

  /** Indices as a vector on a device. */
  static NDArray onDevice(Device device, long[] indices) {
    return NDArray.of(device, Shape.of(indices.length), indices);
  }
}
