package dev.heddle.parallel.layout;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Where the rows of each sample stand in the sample's sequence.
 *
 * <p>In an encoder the rows are the sequence ({@link #dense}). In a language model they fill some
 * positions of a fused sequence, between text tokens ({@link #inSequence}); context parallelism
 * there cuts the fused sequence, so which rank owns a row depends on where the row stands. The rows
 * of a sample fill its positions in ascending order. Immutable.
 */
public final class RowPlacement {
  private final RowCounts counts;
  private final List<Intervals> positions;
  private final long[] lengths;

  private RowPlacement(RowCounts counts, List<Intervals> positions, long[] lengths) {
    this.counts = counts;
    this.positions = positions;
    this.lengths = lengths;
  }

  /** The rows of a sample are its whole sequence. */
  public static RowPlacement dense(RowCounts counts) {
    List<Intervals> positions = new ArrayList<>();
    long[] lengths = new long[counts.sampleCount()];
    for (int sample = 0; sample < lengths.length; sample++) {
      lengths[sample] = counts.rowsOfSample(sample).size();
      positions.add(Intervals.of(0, lengths[sample]));
    }
    return new RowPlacement(counts, List.copyOf(positions), lengths);
  }

  /**
   * The rows of sample s fill {@code positions.get(s)}, in ascending order, of a sequence of {@code
   * lengths[s]} positions.
   *
   * @throws IllegalArgumentException when a sample has not as many positions as rows, or a position
   *     lies outside its sequence
   */
  public static RowPlacement inSequence(
      RowCounts counts, int[] lengths, List<Intervals> positions) {
    int samples = counts.sampleCount();
    if (lengths.length != samples || positions.size() != samples) {
      throw new IllegalArgumentException(
          "row placement: got "
              + lengths.length
              + " sequence lengths and positions of "
              + positions.size()
              + " samples, wanted "
              + samples
              + " of each, one a sample");
    }
    long[] checked = new long[samples];
    for (int sample = 0; sample < samples; sample++) {
      Intervals filled = positions.get(sample);
      long rows = counts.rowsOfSample(sample).size();
      if (filled.size() != rows) {
        throw new IllegalArgumentException(
            "row placement: sample "
                + sample
                + " has "
                + rows
                + " rows but "
                + filled.size()
                + " positions ("
                + filled
                + "); give each row one position");
      }
      checked[sample] = lengths[sample];
      if (!Intervals.of(0, Math.max(0, lengths[sample])).containsAll(filled)) {
        throw new IllegalArgumentException(
            "row placement: got positions "
                + filled
                + " in sample "
                + sample
                + ", wanted them inside its sequence of "
                + lengths[sample]
                + " positions");
      }
    }
    return new RowPlacement(counts, List.copyOf(positions), checked);
  }

  /**
   * As {@link #inSequence(RowCounts, int[], List)}, from the position of each row of each sample.
   */
  public static RowPlacement inSequence(RowCounts counts, int[] lengths, int[][] positions) {
    List<Intervals> filled = new ArrayList<>();
    for (int[] ofSample : positions) {
      Intervals.Builder builder = new Intervals.Builder();
      for (int position : ofSample) {
        builder.add(position, position + 1L);
      }
      filled.add(builder.build());
    }
    return inSequence(counts, lengths, filled);
  }

  /** The rows that are placed. */
  public RowCounts counts() {
    return counts;
  }

  /** The length of the sequence of a sample. */
  public long length(int sample) {
    return lengths[sample];
  }

  /** The positions that the rows of a sample fill. */
  public Intervals positions(int sample) {
    return positions.get(sample);
  }

  @Override
  public boolean equals(@Nullable Object other) {
    return other instanceof RowPlacement that
        && counts.equals(that.counts)
        && positions.equals(that.positions)
        && Arrays.equals(lengths, that.lengths);
  }

  @Override
  public int hashCode() {
    return 31 * (31 * counts.hashCode() + positions.hashCode()) + Arrays.hashCode(lengths);
  }

  @Override
  public String toString() {
    return counts + " in sequences of " + Arrays.toString(lengths) + " positions";
  }
}
