package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.MicroKernel.COLUMNS;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMN_BYTES;
import static dev.heddle.runtime.cpu.MicroKernel.ROWS;

/** Blocks of attention that are multiplied in Java, by {@link MicroKernel}. */
final class VectorAttentionBlocks extends AttentionBlocks {
  private static final int MAX_ROWS = 64;
  private static final long SCORE_BYTES = 128 << 10;

  VectorAttentionBlocks() {
    super(ROWS, COLUMNS, COLUMNS, MAX_ROWS, SCORE_BYTES);
  }

  @Override
  void packColumns(long from, long stride, int vectors, long panels) {
    Packing.columnPanels(from, stride, true, vectors, headSize, panels);
  }

  @Override
  void packRows(long from, long stride, int vectors, long panels) {
    Packing.columnPanels(from, stride, false, headSize, vectors, panels);
  }

  @Override
  void scores(
      int block, int count, long a, long aStride, long panels, long zeros, long edge, long c) {
    int seen = visible(block + count - 1);
    long panelBytes = (long) headSize * COLUMN_BYTES;
    int whole = count / ROWS * ROWS;
    if (whole < count) {
      // A tile has no fewer rows, and the array may end here.
      Tiles.fill(edge, ROWS * sizeBytes / 4, 0);
      Tiles.copy(a + whole * aStride, aStride, edge, sizeBytes, count - whole, headSize);
    }
    for (int column = 0; column < seen; column += COLUMNS) {
      long panel = panels + column / COLUMNS * panelBytes;
      long to = c + 4L * column;
      for (int row = (int) firstRow(block, column) / ROWS * ROWS; row < count; row += ROWS) {
        boolean inside = row < whole;
        MicroKernel.tileOfRows(
            inside ? a + row * aStride : edge,
            inside ? aStride : sizeBytes,
            panel,
            headSize,
            zeros,
            0,
            to + row * scoreBytes,
            scoreBytes);
      }
    }
  }

  @Override
  void mix(int block, int count, long a, long panels, long zeros, long c) {
    long panelBytes = (long) keys * COLUMN_BYTES;
    for (int column = 0; column < headSize; column += COLUMNS) {
      long panel = panels + column / COLUMNS * panelBytes;
      long to = c + 4L * column;
      for (int row = 0; row < count; row += ROWS) {
        MicroKernel.tileOfRows(
            a + row * scoreBytes,
            scoreBytes,
            panel,
            tileVisible(block, row, count),
            zeros,
            0,
            to + row * sizeBytes,
            sizeBytes);
      }
    }
  }

  @Override
  void addTransposed(int block, int count, long a, long panels, long c) {
    int seen = visible(block + count - 1);
    long panelBytes = (long) count * COLUMN_BYTES;
    for (int column = 0; column < headSize; column += COLUMNS) {
      long panel = panels + column / COLUMNS * panelBytes;
      for (int key = 0; key < seen; key += ROWS) {
        int first = (int) firstRow(block, key);
        long to = c + key * sizeBytes + 4L * column;
        MicroKernel.tileOfColumns(
            a + 4L * key + first * scoreBytes,
            scoreBytes,
            panel + (long) first * COLUMN_BYTES,
            count - first,
            to,
            sizeBytes,
            to,
            sizeBytes);
      }
    }
  }
}
