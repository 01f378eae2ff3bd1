package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.TileKernels.COLUMNS;
import static dev.heddle.runtime.cpu.TileKernels.COLUMN_BYTES;
import static dev.heddle.runtime.cpu.TileKernels.ROWS;

import org.jspecify.annotations.Nullable;

/**
 * Runs the code of tiles over blocks of a product, for one thread: rows of A as they lie or packed,
 * by panels of B.
 */
final class MachineBlocks {
  /** Rows of A that are packed side by side: a vector of words, two tiles. */
  static final int PACKED_ROWS = TileCode.LANES;

  private static final int WORD_BYTES = 4;

  private MachineBlocks() {}

  /** Panels of B that {@code columns} columns take. */
  static long panels(long columns) {
    return (columns + COLUMNS - 1) / COLUMNS;
  }

  /** Bytes of a packed B of {@code columns} columns. */
  static long packedColumns(long columns, long words) {
    return panels(columns) * COLUMN_BYTES * words;
  }

  /** Bytes of {@code rows} packed rows of A. */
  static long packedRows(long rows, long words) {
    return (rows + PACKED_ROWS - 1) / PACKED_ROWS * PACKED_ROWS * WORD_BYTES * words;
  }

  /**
   * C = start + A B for a panel of B, A as it lies.
   *
   * @param words steps along k
   * @param start F32 values that the sums start from, as in {@link TileKernels#run}
   * @param columns at most {@link TileKernels#COLUMNS}
   * @param fetches whether rows of A come from memory: while a tile is computed, the next one's
   *     rows are fetched, with the gaps between them unless these are wide
   */
  static void lying(
      TileKernels code,
      long a,
      long aStride,
      long words,
      long b,
      long c,
      long cStride,
      long start,
      long startStride,
      int rows,
      int columns,
      boolean fetches) {
    long bytesPerStep = ROWS * aStride / words;
    long aheadStep = fetches && bytesPerStep <= FetchAhead.LINE_BYTES ? bytesPerStep : 0;
    for (int row = 0; row < rows; ) {
      int height = Math.min(ROWS, rows - row);
      int tiles = Math.max(1, (rows - row) / ROWS);
      code.run(
          height,
          columns,
          a + row * aStride,
          aStride,
          WORD_BYTES,
          b,
          c + row * cStride,
          cStride,
          words,
          start + row * startStride,
          startStride,
          tiles,
          ROWS * aStride,
          ROWS * cStride,
          ROWS * startStride,
          a + (row + ROWS) * aStride,
          aheadStep,
          ROWS * aStride);
      row += tiles * height;
    }
  }

  /**
   * The same with A in panels of {@link #PACKED_ROWS} rows: two tiles lie side by side, first all
   * left ones are done, then those on the right.
   *
   * @param ahead what is fetched meanwhile, or null
   */
  static void packed(
      TileKernels code,
      long a,
      long words,
      long b,
      long c,
      long cStride,
      long start,
      long startStride,
      int rows,
      int columns,
      @Nullable FetchAhead ahead) {
    for (int side = 0; side < PACKED_ROWS; side += ROWS) {
      for (int row = side; row < rows; ) {
        int height = Math.min(ROWS, rows - row);
        int whole = (rows - row + PACKED_ROWS - ROWS) / PACKED_ROWS;
        int tiles = height < ROWS ? 1 : whole;
        long from = 0;
        long step = 0;
        if (ahead != null && ahead.isLeft() && height == ROWS) {
          tiles = Math.min(tiles, ahead.tiles());
          from = ahead.take();
          step = ahead.step();
        }
        code.run(
            height,
            columns,
            a + row / PACKED_ROWS * words * Lanes.BYTES + (long) WORD_BYTES * side,
            WORD_BYTES,
            Lanes.BYTES,
            b,
            c + row * cStride,
            cStride,
            words,
            start + row * startStride,
            startStride,
            tiles,
            words * Lanes.BYTES,
            PACKED_ROWS * cStride,
            PACKED_ROWS * startStride,
            from,
            step,
            words * step);
        row += tiles * PACKED_ROWS;
      }
    }
  }
}
