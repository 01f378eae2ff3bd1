package dev.heddle.parallel.layout;

import dev.heddle.parallel.mesh.Axis;
import dev.heddle.parallel.mesh.Mesh;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Computes the holdings of a {@link RowLayout}; ranks with the same samples and positions share
 * their runs.
 */
final class RowDivision {
  private final Layout layout;
  private final RowLayout.Builder spec;
  private final RowCounts counts;
  private final Map<List<Integer>, PlacedRows> cache = new HashMap<>();

  private record PlacedRows(RowRuns runs, long bufferRows) {}

  RowDivision(RowLayout.Builder spec) {
    this.spec = spec;
    layout = spec.layout;
    counts = spec.placement.counts();
  }

  Holdings divide() {
    checkTypes();
    checkAssignment();
    Mesh mesh = layout.mesh();
    List<Holding> holdings = new ArrayList<>(mesh.rankCount());
    for (int rank : mesh.ranks()) {
      int lane = layout.partIndex(rank, RowLayout.SAMPLE_DIM);
      int positionPart = layout.partIndex(rank, RowLayout.POSITION_DIM);
      PlacedRows rows =
          cache.computeIfAbsent(List.of(lane, positionPart), unused -> rowsOf(rank, lane));
      Intervals features = layout.owned(rank, RowLayout.FEATURE_DIM, spec.featureCount);
      holdings.add(
          new Holding(
              rank,
              rows.runs,
              featureInterval(rank, features),
              summand(rank),
              lane,
              rows.bufferRows));
    }
    return new Holdings(holdings, counts.rowCount(), spec.featureCount);
  }

  private PlacedRows rowsOf(int rank, int lane) {
    int[] units = unitsOf(rank, lane);
    RowRuns.Builder runs = new RowRuns.Builder();
    long place = 0;
    if (spec.packed) {
      long length = 0;
      for (int unit : units) {
        length += length(unit);
      }
      Intervals owned = layout.owned(rank, RowLayout.POSITION_DIM, length);
      long offset = 0;
      for (int unit : units) {
        Intervals part = shift(owned, offset, length(unit));
        place += addRows(runs, unit, part, place);
        offset += length(unit);
      }
    } else {
      for (int unit : units) {
        place +=
            addRows(runs, unit, layout.owned(rank, RowLayout.POSITION_DIM, length(unit)), place);
      }
    }
    return new PlacedRows(runs.build(), place);
  }

  private int[] unitsOf(int rank, int lane) {
    if (spec.assignment != null) {
      return spec.assignment.get(lane);
    }
    Intervals owned = layout.owned(rank, RowLayout.SAMPLE_DIM, unitCount());
    int[] units = new int[Math.toIntExact(owned.size())];
    int next = 0;
    for (int i = 0; i < owned.count(); i++) {
      for (long unit = owned.start(i); unit < owned.end(i); unit++) {
        units[next++] = (int) unit;
      }
    }
    return units;
  }

  /** Adds the rows of a unit that stand at the owned positions; answers the places used. */
  private long addRows(RowRuns.Builder runs, int unit, Intervals owned, long place) {
    long firstRow = rows(unit).start();
    Intervals filled =
        spec.items ? Intervals.of(0, rows(unit).size()) : spec.placement.positions(unit);
    long rowsBefore = 0;
    long placesBefore = 0;
    long rowsHeld = 0;
    int next = 0;
    for (int i = 0; i < owned.count(); i++) {
      while (next < filled.count() && filled.end(next) <= owned.start(i)) {
        rowsBefore += filled.end(next) - filled.start(next);
        next++;
      }
      long rowsPassed = rowsBefore;
      for (int j = next; j < filled.count() && filled.start(j) < owned.end(i); j++) {
        long low = Math.max(owned.start(i), filled.start(j));
        long high = Math.min(owned.end(i), filled.end(j));
        long start = firstRow + rowsPassed + low - filled.start(j);
        long at = spec.inSequence ? placesBefore + low - owned.start(i) : rowsHeld;
        runs.add(start, start + high - low, place + at);
        rowsHeld += high - low;
        rowsPassed += filled.end(j) - filled.start(j);
      }
      placesBefore += owned.end(i) - owned.start(i);
    }
    return spec.inSequence ? placesBefore : rowsHeld;
  }

  /** The part of a set inside [offset, offset + length), counted from offset. */
  private static Intervals shift(Intervals set, long offset, long length) {
    Intervals.Builder builder = new Intervals.Builder();
    for (int i = set.firstEndingAfter(offset);
        i < set.count() && set.start(i) < offset + length;
        i++) {
      builder.add(Math.max(0, set.start(i) - offset), Math.min(length, set.end(i) - offset));
    }
    return builder.build();
  }

  private int unitCount() {
    return spec.items ? counts.itemCount() : counts.sampleCount();
  }

  private Interval rows(int unit) {
    return spec.items ? counts.rowsOfItem(unit) : counts.rowsOfSample(unit);
  }

  private long length(int unit) {
    return spec.items ? rows(unit).size() : spec.placement.length(unit);
  }

  /** Which summand a rank holds: its coordinates along the Partial axes, as one number. */
  private int summand(int rank) {
    int summand = 0;
    Mesh mesh = layout.mesh();
    for (Axis axis : mesh.axes()) {
      if (layout.type(axis) instanceof AxisType.Partial) {
        summand = summand * mesh.size(axis) + mesh.coordinate(rank, axis);
      }
    }
    return summand;
  }

  private Interval featureInterval(int rank, Intervals features) {
    return switch (features.count()) {
      case 0 -> new Interval(0, 0);
      case 1 -> new Interval(features.start(0), features.end(0));
      default ->
          throw new IllegalArgumentException(
              "row layout: rank "
                  + rank
                  + " would hold features "
                  + features
                  + ", wanted one interval; cut features contiguously, not in zigzag");
    };
  }

  private void checkTypes() {
    for (Axis axis : layout.mesh().axes()) {
      AxisType type = layout.type(axis);
      if (type instanceof AxisType.Varying && layout.mesh().size(axis) > 1) {
        throw new IllegalArgumentException(
            "row layout: axis "
                + axis.label()
                + " is Varying, so its ranks hold no part of one value; say Shard, Invariant,"
                + " Replicate or Partial");
      }
      if (type instanceof AxisType.Shard shard && shard.dim() > RowLayout.FEATURE_DIM) {
        throw new IllegalArgumentException(
            "row layout: axis "
                + axis.label()
                + " shards dim "
                + shard.dim()
                + ", wanted 0 (sample), 1 (position) or 2 (feature)");
      }
    }
    if (spec.items) {
      for (int sample = 0; sample < counts.sampleCount(); sample++) {
        if (spec.placement.length(sample) != counts.rowsOfSample(sample).size()) {
          throw new IllegalArgumentException(
              "row layout: got items to divide, but sample "
                  + sample
                  + " has rows inside a longer sequence; divide samples, or give the layout"
                  + " row counts only");
        }
      }
    }
  }

  private void checkAssignment() {
    if (spec.assignment == null) {
      return;
    }
    String unitName = spec.items ? "item " : "sample ";
    int lanes = layout.partCount(RowLayout.SAMPLE_DIM);
    if (spec.assignment.size() != lanes) {
      throw new IllegalArgumentException(
          "row layout: got an assignment for "
              + spec.assignment.size()
              + " lanes, wanted "
              + lanes
              + ", the parts into which "
              + layout
              + " cuts samples");
    }
    boolean[] seen = new boolean[unitCount()];
    for (int[] units : spec.assignment) {
      for (int unit : units) {
        if (unit < 0 || unit >= seen.length || seen[unit]) {
          throw new IllegalArgumentException(
              "row layout: "
                  + unitName
                  + unit
                  + " is assigned twice or does not exist; assign each of "
                  + seen.length
                  + " once");
        }
        seen[unit] = true;
      }
    }
    for (int unit = 0; unit < seen.length; unit++) {
      if (!seen[unit]) {
        throw new IllegalArgumentException(
            "row layout: " + unitName + unit + " is assigned to no lane; assign each once");
      }
    }
  }
}
