package dev.heddle.train.model;

import dev.heddle.nn.SequenceSpec;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.RowCounts;
import dev.heddle.parallel.layout.RowPlacement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * How long the fused sequences of a microbatch are: of each sample the rows that each encoder
 * brings and the words. A sample's sequence is the rows of the first encoder, those of the next,
 * then its words. It is known from the plan of the step alone, so every rank has the same, though
 * it loads only its part of the samples.
 *
 * <p>Sequences are either padded at the end to the longest of the microbatch, whatever rank has it,
 * or {@code packed}: those of a data lane stand one after the other without padding.
 */
public final class FusedBatch {
  private final Map<String, int[]> rows;
  private final int[] textLengths;
  private final boolean packed;

  /**
   * The lengths of a microbatch.
   *
   * @param rows for each encoder, in the order in which they stand in a sequence, the rows of each
   *     sample, 0 where it has none
   * @param textLengths the words of each sample that are read
   * @param packed whether sequences are packed
   */
  public FusedBatch(Map<String, int[]> rows, int[] textLengths, boolean packed) {
    Map<String, int[]> copies = new LinkedHashMap<>();
    rows.forEach(
        (encoder, counts) -> {
          if (counts.length != textLengths.length) {
            throw new IllegalArgumentException(
                "fused batch: got rows of "
                    + counts.length
                    + " samples from "
                    + encoder
                    + " and words of "
                    + textLengths.length
                    + ", wanted as many; a sample without rows has 0 of them");
          }
          copies.put(encoder, counts.clone());
        });
    this.rows = Collections.unmodifiableMap(copies);
    this.textLengths = textLengths.clone();
    this.packed = packed;
  }

  /** How many samples there are. */
  public int samples() {
    return textLengths.length;
  }

  /** Whether the sequences of a lane stand one after the other. */
  public boolean packed() {
    return packed;
  }

  /** The rows that an encoder brings to a sample. */
  public int rows(String encoder, int sample) {
    int[] counts = rows.get(encoder);
    return counts == null ? 0 : counts[sample];
  }

  /** The rows that all encoders bring to a sample: the position of its first word. */
  public int rows(int sample) {
    int sum = 0;
    for (int[] counts : rows.values()) {
      sum += counts[sample];
    }
    return sum;
  }

  /** The position of the first row of an encoder in a sample's sequence. */
  public int firstRow(String encoder, int sample) {
    int position = 0;
    for (Map.Entry<String, int[]> entry : rows.entrySet()) {
      if (entry.getKey().equals(encoder)) {
        break;
      }
      position += entry.getValue()[sample];
    }
    return position;
  }

  /** The words of a sample. */
  public int textLength(int sample) {
    return textLengths[sample];
  }

  /** The encoders, in the order in which their rows stand in a sequence. */
  public List<String> encoders() {
    return List.copyOf(rows.keySet());
  }

  /** The positions of a sample's sequence, padding included. */
  public int length(int sample) {
    return packed ? rows(sample) + textLengths[sample] : longest();
  }

  private int longest() {
    int longest = 0;
    for (int sample = 0; sample < samples(); sample++) {
      longest = Math.max(longest, rows(sample) + textLengths[sample]);
    }
    return longest;
  }

  /** The rows of each sample that cross the boundary from an encoder. */
  public RowCounts counts(String encoder) {
    int[] counts = rows.get(encoder);
    return RowCounts.perSample(counts == null ? new int[samples()] : counts.clone());
  }

  /** Where the rows of an encoder stand in the samples' sequences. */
  public RowPlacement placement(String encoder) {
    int[] lengths = new int[samples()];
    List<Intervals> positions = new ArrayList<>();
    for (int sample = 0; sample < lengths.length; sample++) {
      lengths[sample] = length(sample);
      int first = firstRow(encoder, sample);
      int count = rows(encoder, sample);
      positions.add(count == 0 ? Intervals.EMPTY : Intervals.of(first, first + count));
    }
    return RowPlacement.inSequence(counts(encoder), lengths, positions);
  }

  /** The sequences of a data lane that has the given samples. */
  public SequenceSpec sequences(Interval samples) {
    if (!packed) {
      return SequenceSpec.of(samples.size(), longest());
    }
    long[] lengths = new long[Math.toIntExact(samples.size())];
    for (int i = 0; i < lengths.length; i++) {
      lengths[i] = length(Math.toIntExact(samples.start() + i));
    }
    return SequenceSpec.packed(lengths);
  }

  @Override
  public String toString() {
    return samples()
        + " samples of "
        + rows.keySet()
        + " rows and words, "
        + (packed ? "packed" : "padded to " + longest());
  }
}
