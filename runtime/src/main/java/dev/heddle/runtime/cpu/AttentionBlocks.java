package dev.heddle.runtime.cpu;

import dev.heddle.runtime.AttentionMask;
import dev.heddle.runtime.NDArray;
import org.jspecify.annotations.Nullable;

/**
 * The geometry of one F32 attention call: its sizes, how its queries are cut into blocks, which
 * tiles of a block's scores some query sees, and the three products over them, which {@link
 * VectorAttentionBlocks} and {@link MachineAttentionBlocks} multiply. Mutable and described anew
 * for every call.
 *
 * <p>A block's scores lie in scratch memory, one row a query, a column a key. Hidden keys are
 * skipped by tiles of {@link #tileRows} queries by {@link #unit} keys. Every row is therefore
 * defined (zero where the key is hidden) up to {@link #limit}, and beyond it neither written nor
 * read.
 */
abstract class AttentionBlocks extends AttentionSizes {
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

  private static final int MIN_ROWS = 16;

  /** Queries that a tile of scores has at most. */
  final int tileRows;

  /** Columns of a panel of a packed second operand. */
  final int panelColumns;

  /** In what steps rows of results get longer: whole vectors, or pairs of them. */
  private final int unit;

  private final int maxRows;
  private final long maxScoreBytes;

  /** Queries in a block, a multiple of {@link #tileRows}. */
  int rows;

  /** Bytes between the rows of a block of queries: the head size in whole units. */
  long sizeBytes;

  /** Bytes between the rows of a block's scores. */
  long scoreBytes;

  /**
   * Blocks of queries.
   *
   * @param maxRows queries of a block at most
   * @param maxScoreBytes bytes of its scores to stay below where the number of keys allows
   */
  AttentionBlocks(int tileRows, int panelColumns, int unit, int maxRows, long maxScoreBytes) {
    this.tileRows = tileRows;
    this.panelColumns = panelColumns;
    this.unit = unit;
    this.maxRows = maxRows;
    this.maxScoreBytes = maxScoreBytes;
  }

  /**
   * The blocks of this processor.
   *
   * @param machineCode whether products may be machine code
   */
  static AttentionBlocks of(boolean machineCode) {
    @Nullable TileKernels code = machineCode ? TileKernels.of(TileCode.Kind.F32) : null;
    return code == null ? new VectorAttentionBlocks() : new MachineAttentionBlocks(code);
  }

  @Override
  void describe(NDArray q, NDArray k, AttentionMask newMask) {
    super.describe(q, k, newMask);
    sizeBytes = 4 * roundUp(headSize, unit);
    // An odd number of cache lines, so that the values of one column do not share a cache set.
    scoreBytes = roundUp(4L * roundUp(keys, unit), 128) + 64;
    long fitting = maxScoreBytes / scoreBytes / MIN_ROWS * MIN_ROWS;
    long most = Math.clamp(fitting, MIN_ROWS, maxRows);
    long blocks = Math.max(1, (queries + most - 1) / most);
    rows = (int) roundUp((queries + blocks - 1) / blocks, tileRows);
  }

  static long roundUp(long value, long unit) {
    return (value + unit - 1) / unit * unit;
  }

  /** Bytes of packed panels of {@code columns} columns with {@code depth} steps along k. */
  final long panelBytes(int columns, int depth) {
    return roundUp(columns, panelColumns) * depth * Float.BYTES;
  }

  /** Keys that are seen by some query of the tile that {@code row} of a block belongs to. */
  final int tileVisible(int block, int row, int count) {
    int last = Math.min(row / tileRows * tileRows + tileRows, count) - 1;
    return visible(block + last);
  }

  /** The scores of a row of a block that are defined. */
  final int limit(int block, int row, int count) {
    return (int) roundUp(tileVisible(block, row, count), unit);
  }

  /** The first row of a block that sees a key, maybe beyond the block. */
  final long firstRow(int block, long key) {
    return mask.causal() ? Math.max(0, mask.keyStart() + key - mask.queryStart() - block) : 0;
  }

  /**
   * Runs all stages, one after the other, for each block of each query head that reads a key head.
   * There are at least three of different classes, so the compiler cannot tell which one the call
   * below means and compiles each for itself; see {@link RowStages}.
   */
  final void run(Stage[] stages, long batchIndex, long keyHead, long own) {
    for (long head = keyHead * group; head < (keyHead + 1) * group; head++) {
      for (int first = 0; first < queries; first += rows) {
        for (Stage stage : stages) {
          stage.run(batchIndex, head, first, Math.min(rows, queries - first), own);
        }
      }
    }
  }

  /**
   * Packs vectors of a head, keys for example, as columns: their length is the depth.
   *
   * @param from the first vector
   * @param stride bytes from one to the next
   */
  abstract void packColumns(long from, long stride, int vectors, long panels);

  /** Packs vectors of a head, values for example, as rows: their number is the depth. */
  abstract void packRows(long from, long stride, int vectors, long panels);

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
   * @param zeros a row of zeros, as long as a panel is wide
   * @param edge room for {@link #tileRows} rows, {@link #sizeBytes} each
   * @param c rows {@link #scoreBytes} apart
   */
  abstract void scores(
      int block, int count, long a, long aStride, long panels, long zeros, long edge, long c);

  /**
   * c = a b for a block's probabilities (or their gradients) a and all values (or keys) b.
   *
   * @param panels of b, each with all keys
   * @param c rows {@link #sizeBytes} apart
   */
  abstract void mix(int block, int count, long a, long panels, long zeros, long c);

  /**
   * c += aᵀ b for a block's probabilities (or their gradients) a and its gradients (or queries) b.
   * Columns of a are read as they lie.
   *
   * @param a rows {@link #scoreBytes} apart
   * @param panels of b, each with {@code count} rows
   * @param c a row a key, {@link #sizeBytes} apart
   */
  abstract void addTransposed(int block, int count, long a, long panels, long c);
}
