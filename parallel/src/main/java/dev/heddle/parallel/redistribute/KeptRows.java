package dev.heddle.parallel.redistribute;

import dev.heddle.parallel.comm.support.RunCursor;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.BulkMemory;

/**
 * Copies rows that stay on their rank, the last ones first. Who wrote them went from first to last,
 * so the last are those that are still in the cache next to the core, and who reads the copy next
 * finds its first rows there. Other ranks, which take the same rows meanwhile, begin with the
 * first: so two cores seldom want the same line at a time.
 *
 * <p>For one thread. Allocates nothing.
 */
final class KeptRows {
  /** Bytes in one go, from first to last: several fit in a core's cache, and each is long. */
  static final long BYTES_AT_ONCE = 256 * 1024;

  private final RunCursor from = new RunCursor();
  private final RunCursor to = new RunCursor();
  private final long[] sourceBounds = new long[2];
  private final long[] targetBounds = new long[2];

  /**
   * Copies row intervals of {@code source} [R,C], columns from {@code sourceColumn} on, to those of
   * {@code target} [S,D], columns from {@code targetColumn} on. The two do not overlap.
   *
   * @param sourceRows start0, end0, start1, end1, ...
   * @param targetRows intervals of the same lengths
   * @param columns how many columns are copied
   */
  void copy(
      NDArray source,
      long[] sourceRows,
      long sourceColumn,
      NDArray target,
      long[] targetRows,
      long targetColumn,
      long columns) {
    long rowBytes = Math.max(1, columns * source.dtype().byteSize());
    for (int i = sourceRows.length - 2; i >= 0; i -= 2) {
      long first = sourceRows[i];
      long further = targetRows[i] - first;
      long rows = sourceRows[i + 1] - first;
      // What no cache holds has no end that is still there.
      boolean whole = rows * rowBytes >= BulkMemory.TOO_MUCH_FOR_CACHES;
      long rowsAtOnce = whole ? rows : Math.max(1, BYTES_AT_ONCE / rowBytes);
      for (long end = sourceRows[i + 1]; end > first; end -= rowsAtOnce) {
        sourceBounds[0] = Math.max(first, end - rowsAtOnce);
        sourceBounds[1] = end;
        targetBounds[0] = sourceBounds[0] + further;
        targetBounds[1] = end + further;
        from.startRows(source, sourceBounds, sourceColumn, columns);
        to.startRows(target, targetBounds, targetColumn, columns);
        RunCursor.copy(from, to, (end - sourceBounds[0]) * columns);
      }
    }
  }
}
