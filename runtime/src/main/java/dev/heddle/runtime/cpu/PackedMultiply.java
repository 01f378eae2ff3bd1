package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.MicroKernel.COLUMNS;
import static dev.heddle.runtime.cpu.MicroKernel.COLUMN_BYTES;
import static dev.heddle.runtime.cpu.MicroKernel.ROWS;
import static dev.heddle.runtime.cpu.MicroKernel.ROW_BYTES;

import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;

/**
 * Matrix products in Java: B is packed once into panels by all threads, then each task takes a
 * block of rows, packs its part of a transposed A and runs {@link MicroKernel} over all panels. The
 * blocking is that of Goto and van de Geijn: a panel of B stays in the first-level cache, a block
 * of A in the second. With 512-bit vectors A that is not transposed is read as it lies, but for the
 * rows that do not fill a tile: its values for consecutive k are neighbours already.
 *
 * <p>Tasks depend on sizes only and every element of C is summed in the order of k, so results are
 * the same for any number of threads. The object's own fields describe the running product to the
 * workers: a product allocates nothing on the heap.
 */
final class PackedMultiply implements MatrixMultiply {
  /**
   * Steps of k in a block. With 256-bit vectors a panel of B is then 24 KiB, which a first-level
   * cache holds; with 512-bit vectors the tiles keep up with a panel that comes from the second
   * level, and fewer blocks read and write C less often.
   */
  static final int DEPTH = Lanes.LENGTH >= 16 ? 512 : 384;

  /** With fewer registers the strides of four rows cost more than packing them seems to. */
  private static final boolean READS_ROWS = Lanes.LENGTH >= 16;

  /** Rows in a block: 192 or 256 KiB of A. */
  private static final int BLOCK_ROWS = 128;

  private static final int MIN_BLOCK_ROWS = 32;

  /** Tasks to aim at, so that a few threads end at about the same time. */
  private static final int TASKS = 8;

  /** Packed B at most, in floats; wider products go in column groups. */
  private static final long PACKED_FLOATS = 1L << 22;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final WorkerPool.RangeTask packTask = this::pack;
  private final WorkerPool.WorkerTask computeTask = this::compute;
  private final WorkerPool.WorkerTask batchTask = this::batched;

  private Product product = new Product();
  private long groupColumn;
  private long groupColumns;
  private long packed;
  private long starts;
  private long scratch;
  private long scratchBytes;
  private int blockRows;
  private long columnSplits;

  PackedMultiply(WorkerPool workers, MemoryPool memory) {
    this.workers = workers;
    this.memory = memory;
  }

  @Override
  public String name() {
    return "Vector API products";
  }

  @Override
  public void multiply(Product newProduct) {
    product = newProduct;
    if (newProduct.beta != 0 && newProduct.beta != 1) {
      scaleC(workers, newProduct);
    }
    if (newProduct.batch > 1) {
      multiplyBatch();
    } else {
      multiplyOne();
    }
  }

  // ---- one product, all threads

  private void multiplyOne() {
    Product p = product;
    long groupWidth = Math.max(COLUMNS, PACKED_FLOATS / p.depth / COLUMNS * COLUMNS);
    long width = Math.min(groupWidth, p.columns);
    blockRows = blockRows(p.rows);
    scratchBytes = scratchBytes(blockRows, depthStep(p.depth));
    long packedBytes = panels(width) * COLUMN_BYTES * p.depth;
    long startBytes = panels(width) * COLUMN_BYTES;
    Block block = memory.borrow(packedBytes + startBytes + workers.threads() * scratchBytes);
    try {
      packed = block.segment().address();
      starts = packed + packedBytes;
      scratch = starts + startBytes;
      for (long column = 0; column < p.columns; column += groupWidth) {
        groupColumn = column;
        groupColumns = Math.min(groupWidth, p.columns - column);
        writeStarts(p, starts, groupColumn, groupColumns);
        long panels = panels(groupColumns);
        workers.run(panels, Math.max(1, panels / TASKS), packTask);
        long rowBlocks = (p.rows + blockRows - 1) / blockRows;
        columnSplits = Math.min(panels, Math.max(1, TASKS / rowBlocks));
        workers.runOnWorkers(rowBlocks * columnSplits, 1, computeTask);
      }
    } finally {
      block.release();
    }
  }

  private void pack(long startPanel, long endPanel) {
    packColumns(product, 0, groupColumn, groupColumns, startPanel, endPanel, packed);
  }

  private void compute(int worker, long start, long end) {
    for (long task = start; task < end; task++) {
      long row = task / columnSplits * blockRows;
      long split = task % columnSplits;
      long panels = panels(groupColumns);
      computeBlock(
          product,
          0,
          row,
          (int) Math.min(blockRows, product.rows - row),
          groupColumn,
          groupColumns,
          panels * split / columnSplits,
          panels * (split + 1) / columnSplits,
          packed,
          starts,
          scratch + worker * scratchBytes);
    }
  }

  // ---- many small products, one a task

  private void multiplyBatch() {
    Product p = product;
    if (p.batch < 4 && p.rows * p.columns * p.depth > 1L << 21) {
      multiplyBatchOneByOne();
      return;
    }
    groupColumn = 0;
    groupColumns = p.columns;
    blockRows = Math.min(BLOCK_ROWS, (int) roundUp(Math.min(p.rows, BLOCK_ROWS), ROWS));
    long packedBytes = panels(p.columns) * COLUMN_BYTES * p.depth;
    long startBytes = panels(p.columns) * COLUMN_BYTES;
    long blockBytes = scratchBytes(blockRows, depthStep(p.depth));
    scratchBytes = packedBytes + blockBytes;
    Block block = memory.borrow(startBytes + workers.threads() * scratchBytes);
    try {
      starts = block.segment().address();
      scratch = starts + startBytes;
      writeStarts(p, starts, 0, p.columns);
      workers.runOnWorkers(p.batch, 1, batchTask);
    } finally {
      block.release();
    }
  }

  private void multiplyBatchOneByOne() {
    Product p = product;
    long a = p.a;
    long b = p.b;
    long c = p.c;
    for (long i = 0; i < p.batch; i++) {
      p.a = a + i * p.aBatchStride;
      p.b = b + i * p.bBatchStride;
      p.c = c + i * p.cBatchStride;
      multiplyOne();
    }
  }

  private void batched(int worker, long start, long end) {
    Product p = product;
    long own = scratch + worker * scratchBytes;
    long panels = panels(p.columns);
    long panelBytes = panels * COLUMN_BYTES * p.depth;
    for (long i = start; i < end; i++) {
      packColumns(p, i, 0, p.columns, 0, panels, own);
      for (long row = 0; row < p.rows; row += blockRows) {
        int rows = (int) Math.min(blockRows, p.rows - row);
        computeBlock(p, i, row, rows, 0, p.columns, 0, panels, own, starts, own + panelBytes);
      }
    }
  }

  // ---- the parts, for one thread

  /** Packs panels of op(b) for all of k, a block of steps after the other. */
  private static void packColumns(
      Product p,
      long batchIndex,
      long groupColumn,
      long groupColumns,
      long startPanel,
      long endPanel,
      long packed) {
    long panels = panels(groupColumns);
    long offset = batchIndex * p.bBatchStride;
    long column = startPanel * COLUMNS;
    int columns = (int) (Math.min(endPanel * COLUMNS, groupColumns) - column);
    int step = depthStep(p.depth);
    for (long k = 0; k < p.depth; k += step) {
      int depth = (int) Math.min(step, p.depth - k);
      long target = packed + (k * panels + startPanel * depth) * COLUMN_BYTES;
      long from = p.bAt(k, groupColumn + column) + offset;
      Packing.columnPanels(from, p.bStride, p.transposeB, columns, depth, target);
      if (p.alpha != 1) {
        int floats = (int) (endPanel - startPanel) * depth * COLUMNS;
        VectorArithmetic.scale(target, p.alpha, target, floats);
      }
    }
  }

  /** Rows [row, row + rows) of C for the panels from startPanel to endPanel. */
  private static void computeBlock(
      Product p,
      long batchIndex,
      long row,
      int rows,
      long groupColumn,
      long groupColumns,
      long startPanel,
      long endPanel,
      long packed,
      long starts,
      long scratch) {
    long panels = panels(groupColumns);
    long aOffset = batchIndex * p.aBatchStride;
    long cRow = p.c + batchIndex * p.cBatchStride + row * p.cStride + 4 * groupColumn;
    long tile = scratch;
    long aPanels = scratch + (long) ROWS * COLUMN_BYTES;
    int step = depthStep(p.depth);
    for (long k = 0; k < p.depth; k += step) {
      int depth = (int) Math.min(step, p.depth - k);
      long a = p.aAt(row, k) + aOffset;
      int direct = p.transposeA || !READS_ROWS ? 0 : rows / ROWS * ROWS;
      int rest = rows - direct;
      if (rest > 0) {
        Packing.rowPanels(a + direct * p.aStride, p.aStride, p.transposeA, rest, depth, aPanels);
      }
      boolean fromC = k > 0 || p.beta != 0;
      boolean last = k + depth >= p.depth;
      long blockStart = packed + k * panels * COLUMN_BYTES;
      for (long panel = startPanel; panel < endPanel; panel++) {
        long column = panel * COLUMNS;
        long b = blockStart + panel * depth * COLUMN_BYTES;
        long c = cRow + 4 * column;
        int columns = (int) Math.min(COLUMNS, groupColumns - column);
        long start = fromC ? c : starts + panel * COLUMN_BYTES;
        long startStride = fromC ? p.cStride : 0;
        if (direct > 0) {
          multiplyRows(
              a,
              p.aStride,
              b,
              depth,
              start,
              startStride,
              c,
              p.cStride,
              direct,
              columns,
              fromC,
              tile);
        }
        if (rest > 0) {
          long restStart = start + direct * startStride;
          long restC = c + direct * p.cStride;
          multiplyPanel(
              aPanels,
              b,
              depth,
              restStart,
              startStride,
              restC,
              p.cStride,
              rest,
              columns,
              fromC,
              tile);
        }
        if (last && p.activation != UnaryOperation.IDENTITY) {
          long to = p.activated + row * p.cStride + 4 * (groupColumn + column);
          VectorUnary.applyRows(p.activation, c, p.cStride, to, p.cStride, rows, columns);
        }
      }
    }
  }

  /** A column of tiles, A as it lies; {@code rows} is a multiple of {@link MicroKernel#ROWS}. */
  private static void multiplyRows(
      long a,
      long aStride,
      long b,
      int depth,
      long start,
      long startStride,
      long c,
      long cStride,
      int rows,
      int columns,
      boolean fromC,
      long tile) {
    boolean whole = columns == COLUMNS;
    for (int r = 0; r < rows; r += ROWS) {
      long from = start + r * startStride;
      long fromStride = startStride;
      long to = c + r * cStride;
      if (whole) {
        MicroKernel.tileOfRows(a + r * aStride, aStride, b, depth, from, fromStride, to, cStride);
        continue;
      }
      if (fromC) {
        Tiles.copy(to, cStride, tile, COLUMN_BYTES, ROWS, columns);
        from = tile;
        fromStride = COLUMN_BYTES;
      }
      MicroKernel.tileOfRows(
          a + r * aStride, aStride, b, depth, from, fromStride, tile, COLUMN_BYTES);
      Tiles.copy(tile, COLUMN_BYTES, to, cStride, ROWS, columns);
    }
  }

  /** A column of tiles, A packed. */
  private static void multiplyPanel(
      long a,
      long b,
      int depth,
      long start,
      long startStride,
      long c,
      long cStride,
      int rows,
      int columns,
      boolean fromC,
      long tile) {
    long panelBytes = (long) depth * ROW_BYTES;
    int whole = columns == COLUMNS ? rows / ROWS * ROWS : 0;
    for (int r = 0; r < whole; r += ROWS) {
      MicroKernel.tile(
          a + r / ROWS * panelBytes,
          b,
          depth,
          start + r * startStride,
          startStride,
          c + r * cStride,
          cStride);
    }
    for (int r = whole; r < rows; r += ROWS) {
      int tileRows = Math.min(ROWS, rows - r);
      long to = c + r * cStride;
      long aPanel = a + r / ROWS * panelBytes;
      if (fromC) {
        Tiles.copy(to, cStride, tile, COLUMN_BYTES, tileRows, columns);
        MicroKernel.tile(aPanel, b, depth, tile, COLUMN_BYTES, tile, COLUMN_BYTES);
      } else {
        MicroKernel.tile(aPanel, b, depth, start, 0, tile, COLUMN_BYTES);
      }
      Tiles.copy(tile, COLUMN_BYTES, to, cStride, tileRows, columns);
    }
  }

  /** The bias, or zeros, padded to whole panels. */
  private static void writeStarts(Product p, long starts, long column, long columns) {
    long padded = panels(columns) * COLUMNS;
    Tiles.fill(starts, padded, 0);
    if (p.bias != 0) {
      Tiles.copy(p.bias + 4 * column, 0, starts, 0, 1, (int) columns);
    }
  }

  /** C becomes beta C, so that a product can go on from it. */
  static void scaleC(WorkerPool workers, Product p) {
    for (long i = 0; i < p.batch; i++) {
      long c = p.c + i * p.cBatchStride;
      workers.run(
          p.rows,
          Math.max(1, (1 << 15) / p.columns),
          (start, end) -> {
            for (long row = start; row < end; row++) {
              long at = c + row * p.cStride;
              VectorArithmetic.scale(at, p.beta, at, (int) p.columns);
            }
          });
    }
  }

  /** Steps of k in a block: as even as they come, at most {@link #DEPTH}. */
  private static int depthStep(long depth) {
    long blocks = (depth + DEPTH - 1) / DEPTH;
    return (int) ((depth + blocks - 1) / blocks);
  }

  private static int blockRows(long rows) {
    long even = roundUp((rows + TASKS - 1) / TASKS, ROWS);
    return (int) Math.max(MIN_BLOCK_ROWS, Math.min(BLOCK_ROWS, even));
  }

  private static long scratchBytes(int blockRows, long depth) {
    return (long) ROWS * COLUMN_BYTES + roundUp(blockRows, ROWS) * 4L * depth + 64;
  }

  private static long panels(long columns) {
    return (columns + COLUMNS - 1) / COLUMNS;
  }

  private static long roundUp(long value, long unit) {
    return (value + unit - 1) / unit * unit;
  }
}
