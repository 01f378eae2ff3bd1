package dev.heddle.jmh.boundary;

import java.lang.foreign.MemorySegment;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Where the ranks of a boundary have their rows, so that each may copy from the others'. A rank
 * sees what the others have told when it has met them.
 */
final class RankRows {
  private final @Nullable MemorySegment[][] rows;

  RankRows(int ranks) {
    rows = new MemorySegment[Direction.values().length][ranks];
  }

  /** Rank {@code rank} has its rows here. */
  void tell(Direction direction, int rank, MemorySegment memory) {
    rows[direction.ordinal()][rank] = memory;
  }

  /** The rows of a rank that has some. */
  MemorySegment of(Direction direction, int rank) {
    return Objects.requireNonNull(
        rows[direction.ordinal()][rank], () -> "RankRows: rank " + rank + " has told no rows");
  }
}
