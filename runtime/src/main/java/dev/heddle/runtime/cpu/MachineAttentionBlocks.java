package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.TileKernels.COLUMNS;
import static dev.heddle.runtime.cpu.TileKernels.ROWS;

/**
 * Blocks of attention that are multiplied by machine code, {@link TileKernels}. Tiles of scores
 * that the diagonal of a causal mask crosses get narrower by whole vectors, and each sum over keys
 * or queries begins and ends where the first and last query of its tile do.
 */
final class MachineAttentionBlocks extends AttentionBlocks {
  private static final int MAX_ROWS = 128;
  private static final long SCORE_BYTES = 128 << 10;
  private static final int UNIT = TileCode.LANES;

  private final TileKernels code;

  MachineAttentionBlocks(TileKernels code) {
    super(ROWS, COLUMNS, UNIT, MAX_ROWS, SCORE_BYTES);
    this.code = code;
  }

  @Override
  void packColumns(long from, long stride, int vectors, long panels) {
    WordPacking.alongRows(false, from, stride, vectors, headSize, TileCode.VECTORS, panels);
  }

  @Override
  void packRows(long from, long stride, int vectors, long panels) {
    WordPacking.acrossRows(false, from, stride, headSize, vectors, TileCode.VECTORS, panels);
  }

  @Override
  void scores(
      int block, int count, long a, long aStride, long panels, long zeros, long edge, long c) {
    int seen = visible(block + count - 1);
    long panelBytes = panelBytes(COLUMNS, headSize);
    long panel = panels;
    for (int column = 0; column < seen; column += COLUMNS) {
      long to = c + 4L * column;
      int width = (int) Math.min(COLUMNS, roundUp(seen, UNIT) - column);
      for (int row = (int) firstRow(block, column) / ROWS * ROWS; row < count; ) {
        // A tile that the diagonal crosses by itself, then all others at once.
        int seenHere = Math.min(width, limit(block, row, count) - column);
        int height = seenHere < width ? Math.min(ROWS, count - row) : count - row;
        MachineBlocks.lying(
            code,
            a + row * aStride,
            aStride,
            headSize,
            panel,
            to + row * scoreBytes,
            scoreBytes,
            zeros,
            0,
            height,
            seenHere,
            false);
        row += height;
      }
      panel += panelBytes;
    }
  }

  @Override
  void mix(int block, int count, long a, long panels, long zeros, long c) {
    long panelBytes = panelBytes(COLUMNS, keys);
    for (int row = 0; row < count; ) {
      int depth = tileVisible(block, row, count);
      int end = row + ROWS;
      while (end < count && tileVisible(block, end, count) == depth) {
        end += ROWS;
      }
      int height = Math.min(end, count) - row;
      mixRows(a + row * scoreBytes, depth, panels, panelBytes, zeros, c + row * sizeBytes, height);
      row = end;
    }
  }

  /** Rows that all see the first {@code depth} keys. */
  private void mixRows(
      long a, int depth, long panels, long panelBytes, long zeros, long c, int height) {
    if (depth == 0) {
      Tiles.fill(c, height * sizeBytes / Float.BYTES, 0);
      return;
    }
    long panel = panels;
    for (int column = 0; column < headSize; column += COLUMNS) {
      MachineBlocks.lying(
          code,
          a,
          scoreBytes,
          depth,
          panel,
          c + 4L * column,
          sizeBytes,
          zeros,
          0,
          height,
          width(column),
          false);
      panel += panelBytes;
    }
  }

  /** Columns of a panel of results, in whole vectors: there is room for them. */
  private int width(int column) {
    return (int) Math.min(COLUMNS, roundUp(headSize, UNIT) - column);
  }

  @Override
  void addTransposed(int block, int count, long a, long panels, long c) {
    int seen = visible(block + count - 1);
    long panelBytes = panelBytes(COLUMNS, count);
    for (int key = 0; key < seen; ) {
      int first = (int) firstRow(block, key);
      int end = key + ROWS;
      while (end + ROWS <= seen && firstRow(block, end) == first) {
        end += ROWS;
      }
      int height = Math.min(ROWS, seen - key);
      int tiles = height < ROWS ? 1 : (end - key) / ROWS;
      long panel = panels + (long) first * TileKernels.COLUMN_BYTES;
      for (int column = 0; column < headSize; column += COLUMNS) {
        long to = c + key * sizeBytes + 4L * column;
        code.run(
            height,
            width(column),
            a + 4L * key + first * scoreBytes,
            Float.BYTES,
            scoreBytes,
            panel,
            to,
            sizeBytes,
            count - first,
            to,
            sizeBytes,
            tiles,
            ROWS * Float.BYTES,
            ROWS * sizeBytes,
            ROWS * sizeBytes,
            0,
            0,
            0);
        panel += panelBytes;
      }
      key += tiles * ROWS;
    }
  }
}
