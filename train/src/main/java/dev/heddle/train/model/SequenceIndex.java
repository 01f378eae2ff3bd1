package dev.heddle.train.model;

import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.layout.Interval;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.LongStream;

/** Works out which word, row and target stands at which place that a rank holds. */
final class SequenceIndex {
  private final FusedBatch batch;
  private final Interval samples;
  private final int[][] words;
  private final int[][] targets;
  private final SequenceSpec spec;
  private final long[] held;
  private final long[] entered;
  private final boolean rowsInPlace;

  SequenceIndex(
      FusedBatch batch,
      Interval samples,
      int[][] words,
      int[][] targets,
      long[] held,
      long[] entered,
      boolean rowsInPlace) {
    this.batch = batch;
    this.samples = samples;
    this.words = words;
    this.targets = targets;
    this.spec = batch.sequences(samples);
    this.held = held;
    this.entered = entered;
    this.rowsInPlace = rowsInPlace;
    if (words.length != samples.size() || targets.length != samples.size()) {
      throw new IllegalArgumentException(
          "sequences: got words of "
              + words.length
              + " and targets of "
              + targets.length
              + " samples, wanted those of "
              + samples);
    }
    for (int i = 0; i < words.length; i++) {
      int wanted = batch.textLength(sample(i));
      if (words[i].length != wanted || targets[i].length != wanted) {
        throw new IllegalArgumentException(
            "sequences: sample "
                + sample(i)
                + " has "
                + words[i].length
                + " words and "
                + targets[i].length
                + " targets, wanted "
                + wanted
                + " as in the plan");
      }
    }
  }

  private int sample(int index) {
    return Math.toIntExact(samples.start() + index);
  }

  Sequences build() {
    long[] ids = new long[Math.toIntExact(spec.lanes() * entered.length)];
    Arrays.fill(ids, -1);
    int[] enteredAt = inverse(entered);
    LongStream.Builder places = LongStream.builder();
    LongStream.Builder wanted = LongStream.builder();
    long start = 0;
    for (int i = 0; i < words.length; i++) {
      int lane = batch.packed() ? 0 : i;
      long first = start + batch.rows(sample(i));
      for (int t = 0; t < words[i].length; t++) {
        int position = Math.toIntExact(first + t);
        if (enteredAt[position] >= 0) {
          int place = lane * entered.length + enteredAt[position];
          ids[place] = words[i][t];
          places.add(place);
          wanted.add(targets[i][t]);
        }
      }
      start += batch.packed() ? batch.length(sample(i)) : 0;
    }
    return new Sequences(
        spec,
        held,
        ids,
        spec.documentPositions(held),
        rowPlaces(),
        places.build().toArray(),
        wanted.build().toArray());
  }

  /** For each position of a lane its number among {@code positions}, or -1. */
  private int[] inverse(long[] positions) {
    int[] inverse = new int[Math.toIntExact(spec.length())];
    Arrays.fill(inverse, -1);
    for (int i = 0; i < positions.length; i++) {
      inverse[(int) positions[i]] = i;
    }
    return inverse;
  }

  private Map<String, long[]> rowPlaces() {
    Map<String, long[]> all = new LinkedHashMap<>();
    if (rowsInPlace) {
      return all;
    }
    for (String encoder : batch.encoders()) {
      LongStream.Builder places = LongStream.builder();
      long start = 0;
      for (int i = 0; i < words.length; i++) {
        long from = start + batch.firstRow(encoder, sample(i));
        for (long row = 0; row < batch.rows(encoder, sample(i)); row++) {
          places.add(from + row);
        }
        start += batch.length(sample(i));
      }
      all.put(encoder, places.build().toArray());
    }
    return all;
  }
}
