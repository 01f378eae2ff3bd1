package dev.heddle.parallel.layout;

import dev.heddle.parallel.mesh.Mesh;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One side of a boundary: which rows and which features of a value each rank of a mesh holds, and
 * at which place of its buffer.
 *
 * <p>It is the {@link Layout} of a ragged value with the dims (sample, position, feature), applied
 * to the actual {@link RowCounts}:
 *
 * <ul>
 *   <li>axes that shard {@link #SAMPLE_DIM} (DP) divide samples, or items where asked ({@link
 *       Builder#divideItems}), evenly or as assigned ({@link Builder#assign});
 *   <li>axes that shard {@link #POSITION_DIM} (CP, then TP for sequence parallelism) divide the
 *       positions of each sample's sequence, or of the lane's packed sequence ({@link
 *       Builder#packed}), contiguously or in zigzag;
 *   <li>axes that shard {@link #FEATURE_DIM} divide the features;
 *   <li>Invariant and Replicate axes hold copies, Partial axes summands.
 * </ul>
 *
 * <p>The local buffer holds the owned rows of the rank's samples one sample after the other, by
 * position within a sample. With {@link Builder#inSequence} it has a place for every owned position
 * of the fused sequence and a row lies at the place of its position, so that a boundary writes
 * straight into the fused sequence. Immutable.
 */
public final class RowLayout {
  /** The dim of samples. */
  public static final int SAMPLE_DIM = 0;

  /** The dim of positions within a sequence. */
  public static final int POSITION_DIM = 1;

  /** The dim of features. */
  public static final int FEATURE_DIM = 2;

  private final Layout layout;
  private final RowCounts counts;
  private final Holdings holdings;
  private final Builder origin;

  private RowLayout(Builder origin) {
    this.origin = origin;
    layout = origin.layout;
    counts = origin.placement.counts();
    holdings = new RowDivision(origin).divide();
  }

  /** Begins the row layout of a value whose rows are the whole sequence of their sample. */
  public static Builder of(Layout layout, RowCounts counts, long featureCount) {
    return new Builder(layout, RowPlacement.dense(counts), featureCount);
  }

  /** Begins the row layout of a value whose rows stand at some positions of a longer sequence. */
  public static Builder of(Layout layout, RowPlacement placement, long featureCount) {
    return new Builder(layout, placement, featureCount);
  }

  /** The mesh. */
  public Mesh mesh() {
    return layout.mesh();
  }

  /** The layout over (sample, position, feature). */
  public Layout layout() {
    return layout;
  }

  /** The rows of each sample. */
  public RowCounts counts() {
    return counts;
  }

  /** The number of features of the whole value. */
  public long featureCount() {
    return origin.featureCount;
  }

  /** What each rank holds, in mesh order. */
  public Holdings holdings() {
    return holdings;
  }

  /** The layout of the gradient: the same rows at the same places, each type its dual. */
  public RowLayout gradient() {
    return with(layout.gradient());
  }

  /** The same rows on the same mesh under another layout, for example with other axis types. */
  public RowLayout with(Layout changed) {
    return new RowLayout(origin.with(changed));
  }

  @Override
  public String toString() {
    return counts + " x " + featureCount() + " features, " + layout;
  }

  /** Says how rows are divided and where they lie. */
  public static final class Builder {
    final Layout layout;
    final RowPlacement placement;
    final long featureCount;
    boolean packed;
    boolean items;
    boolean inSequence;
    @Nullable List<int[]> assignment;

    private Builder(Layout layout, RowPlacement placement, long featureCount) {
      this.layout = layout;
      this.placement = placement;
      this.featureCount = featureCount;
      if (featureCount < 0) {
        throw new IllegalArgumentException(
            "row layout: got " + featureCount + " features, wanted 0 or more");
      }
    }

    private Builder with(Layout changed) {
      Builder builder = new Builder(changed, placement, featureCount);
      builder.packed = packed;
      builder.items = items;
      builder.inSequence = inSequence;
      builder.assignment = assignment;
      return builder;
    }

    /**
     * The samples of a lane form one sequence, one after the other, and position-sharding axes cut
     * that sequence; without it they cut the sequence of each sample.
     */
    public Builder packed() {
      packed = true;
      return this;
    }

    /**
     * Data-parallel axes divide items (pictures), not samples, and each item is a sequence of its
     * own.
     */
    public Builder divideItems() {
      items = true;
      return this;
    }

    /** The buffer has a place for every owned position of the sequence, not only for the rows. */
    public Builder inSequence() {
      inSequence = true;
      return this;
    }

    /**
     * Lane i of the data-parallel division has the samples (or items) {@code lanes.get(i)}, in that
     * order, for example to balance uneven samples; without it they are divided evenly in order.
     */
    public Builder assign(List<int[]> lanes) {
      List<int[]> copied = new ArrayList<>();
      lanes.forEach(lane -> copied.add(lane.clone()));
      assignment = List.copyOf(copied);
      return this;
    }

    /**
     * The row layout.
     *
     * @throws IllegalArgumentException when an axis is Varying or shards a dim above 2, when items
     *     are divided but rows stand in longer sequences, or when the assignment does not give each
     *     sample to exactly one lane
     */
    public RowLayout build() {
      // A copy, so that a builder that is changed afterwards changes no layout.
      return new RowLayout(with(layout));
    }
  }
}
