package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.MicroKernel.COLUMNS;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMN_BYTES;
import static dev.heddle.runtime.cpu.MicroKernel.ROWS;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;

/**
 * The geometry of one attention call: its sizes, how its queries are cut into blocks, which tiles
 * of a block's scores some query sees, and the three products over them. Mutable and described anew
 * for every call.
 *
 * <p>A block's scores lie in scratch memory, one row a query, a column a key. The unit in which
 * hidden keys are skipped is the {@link MicroKernel}'s tile: {@code ROWS} queries by {@code
 * COLUMNS} keys. Every row is therefore defined (zero where the key is hidden) up to {@link
 * #limit}, and beyond it neither written nor read.
 */
final class AttentionBlocks extends AttentionSizes {
  /** A part of the work on one block of queries. */
  @FunctionalInterface
  interface Stage {
    /**
     * Does the part.
     *
     * @param first first query of the block
     * @param count its queries
     * @param own the thread's scratch memory
     */
    void run(long batch, long head, int first, int count, long own);
  }

  /** Bytes of a block's scores to stay below where the number of keys allows. */
  private static final long SCORE_BYTES = 128 << 10;

  private static final int MAX_ROWS = 64;
  private static final int MIN_ROWS = 16;

  /** Queries in a block, a multiple of {@link MicroKernel#ROWS}. */
  int rows;

  /** Bytes between the rows of a block of queries: the head size, padded to whole tiles. */
  long sizeBytes;

  /** Bytes between the rows of a block's scores. */
  long scoreBytes;

  @Override
  void describe(NDArray q, NDArray k, AttentionMask newMask) {
    super.describe(q, k, newMask);
    sizeBytes = 4 * roundUp(headSize, COLUMNS);
    // An odd number of cache lines, so that the values of one column do not share a cache set.
    scoreBytes = roundUp(4L * roundUp(keys, COLUMNS), 128) + 64;
    long fitting = SCORE_BYTES / scoreBytes / MIN_ROWS * MIN_ROWS;
    long wanted = Math.max(MIN_ROWS, Math.min(MAX_ROWS, fitting));
    rows = (int) Math.min(wanted, roundUp(queries, ROWS));
  }

  static long roundUp(long value, long unit) {
    return (value + unit - 1) / unit * unit;
  }

  /** Keys that are seen by some query of the tile that {@code row} of a block belongs to. */
  private int tileVisible(int block, int row, int count) {
    int last = Math.min(row / ROWS * ROWS + ROWS, count) - 1;
    return visible(block + last);
  }

  /** The scores of a row of a block that are defined. */
  int limit(int block, int row, int count) {
    return (int) roundUp(tileVisible(block, row, count), COLUMNS);
  }

  /** The first row of a block that sees a key, maybe beyond the block. */
  private long firstRow(int block, long key) {
    return mask.causal() ? Math.max(0, mask.keyStart() + key - mask.queryStart() - block) : 0;
  }

  /**
   * Runs all stages, one after the other, for each block of each query head that reads a key head.
   * There are at least three of different classes, so the compiler cannot tell which one the call
   * below means and compiles each for itself; see {@link RowStages}.
   */
  void run(Stage[] stages, long batchIndex, long keyHead, long own) {
    for (long head = keyHead * group; head < (keyHead + 1) * group; head++) {
      for (int first = 0; first < queries; first += rows) {
        for (Stage stage : stages) {
          stage.run(batchIndex, head, first, Math.min(rows, queries - first), own);
        }
      }
    }
  }

  /**
   * c = a bᵀ for the tiles that are seen: a block's queries (or gradients) times all keys (or
   * values). The queries are read as they lie; packing them would cost as much as a tenth of the
   * product.
   *
   * @param block first query of the block
   * @param count its queries
   * @param a the block's rows of a
   * @param aStride bytes from one to the next
   * @param panels of bᵀ
   * @param zeros a row of zeros
   * @param edge room for {@code ROWS} rows, {@link #sizeBytes} each
   * @param c rows {@link #scoreBytes} apart
   */
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

  /**
   * c = a b for a block's probabilities (or their gradients) a and all values (or keys) b.
   *
   * @param panels of b, each with all keys
   * @param c rows {@link #sizeBytes} apart
   */
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

  /**
   * c += aᵀ b for a block's probabilities (or their gradients) a and its gradients (or queries) b.
   * Columns of a are read as they lie.
   *
   * @param a rows {@link #scoreBytes} apart
   * @param panels of b, each with {@code count} rows
   * @param c a row a key, {@link #sizeBytes} apart
   */
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
