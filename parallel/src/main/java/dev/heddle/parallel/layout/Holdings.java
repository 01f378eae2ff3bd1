package dev.heddle.parallel.layout;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What each rank holds of one value of {@code rowCount x featureCount}, in the order in which the
 * holdings were given (that of the mesh, for a {@link RowLayout}). Immutable.
 */
public final class Holdings {
  private final List<Holding> holdings;
  private final Map<Integer, Holding> byRank;
  private final long rowCount;
  private final long featureCount;
  private final int summandCount;

  /**
   * Collects holdings of one value.
   *
   * @throws IllegalArgumentException when a rank comes twice, or a row or a feature lies outside
   *     the value
   */
  public Holdings(Collection<Holding> holdings, long rowCount, long featureCount) {
    this.holdings = List.copyOf(holdings);
    this.rowCount = rowCount;
    this.featureCount = featureCount;
    byRank = HashMap.newHashMap(holdings.size());
    int summands = 1;
    Interval allFeatures = new Interval(0, featureCount);
    for (Holding holding : this.holdings) {
      if (byRank.put(holding.rank(), holding) != null) {
        throw new IllegalArgumentException(
            "holdings: rank " + holding.rank() + " comes twice; give one holding a rank");
      }
      RowRuns runs = holding.runs();
      if (runs.count() > 0 && (runs.start(0) < 0 || runs.end(runs.count() - 1) > rowCount)
          || !allFeatures.containsAll(holding.features())) {
        throw new IllegalArgumentException(
            "holdings: rank "
                + holding.rank()
                + " has rows "
                + runs
                + " features "
                + holding.features()
                + ", wanted them inside "
                + rowCount
                + " rows x "
                + featureCount
                + " features");
      }
      summands = Math.max(summands, holding.summand() + 1);
    }
    summandCount = summands;
  }

  /** All holdings, one a rank. */
  public List<Holding> all() {
    return holdings;
  }

  /** What a rank holds, or null when the rank takes no part. */
  public @Nullable Holding find(int rank) {
    return byRank.get(rank);
  }

  /** What a rank holds. */
  public Holding of(int rank) {
    Holding holding = byRank.get(rank);
    if (holding == null) {
      throw new IllegalArgumentException(
          "holdings: rank " + rank + " holds nothing here; the ranks are " + ranks());
    }
    return holding;
  }

  /** The ranks, in order. */
  public List<Integer> ranks() {
    List<Integer> ranks = new ArrayList<>(holdings.size());
    holdings.forEach(holding -> ranks.add(holding.rank()));
    return ranks;
  }

  /** The number of rows of the whole value. */
  public long rowCount() {
    return rowCount;
  }

  /** The number of features of the whole value. */
  public long featureCount() {
    return featureCount;
  }

  /** Of how many summands the value is the sum; 1 when ranks hold the value itself. */
  public int summandCount() {
    return summandCount;
  }
}
