package dev.heddle.runtime.cpu;

/**
 * Several loops over the same rows, one after the other on pieces that stay in the first-level
 * cache.
 *
 * <p>Why they do not simply call each other: C2 inlines what is hot until a method has 18,000
 * nodes, about forty vector operations, and stops wherever that is. A loop that it stops in makes
 * an object of every vector. The one call below sees all stages, so that the compiler cannot tell
 * which one is meant and compiles each for itself. It takes three of them: of two it would inline
 * both.
 */
final class RowStages implements WorkerPool.RangeTask {
  private static final long PIECE_BYTES = 16 << 10;

  private final WorkerPool.RangeTask[] stages;
  private long pieceRows = 1;

  RowStages(WorkerPool.RangeTask... stages) {
    this.stages = stages;
  }

  /** These stages for rows of {@code columns} floats. */
  RowStages forColumns(long columns) {
    pieceRows = Math.max(1, PIECE_BYTES / Math.max(1, 4 * columns));
    return this;
  }

  @Override
  public void run(long start, long end) {
    for (long from = start; from < end; from += pieceRows) {
      long to = Math.min(from + pieceRows, end);
      for (WorkerPool.RangeTask stage : stages) {
        stage.run(from, to);
      }
    }
  }
}
