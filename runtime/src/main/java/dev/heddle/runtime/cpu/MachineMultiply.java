package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.MachineBlocks.panels;
import static dev.heddle.runtime.cpu.TileKernels.COLUMNS;
import static dev.heddle.runtime.cpu.TileKernels.COLUMN_BYTES;

import dev.heddle.runtime.UnaryOperation;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import org.jspecify.annotations.Nullable;

/**
 * Matrix products of F32 or bf16 (with alpha 1, and beta 0 where C is bf16) by machine code of our
 * own, {@link TileKernels}. B is packed once into panels by all threads, then each task takes a
 * block of rows, packs its part of a transposed A, and has the code run down all panels; an A that
 * is not transposed is read as it lies. The blocking is that of Goto and van de Geijn: a panel of B
 * streams through the first-level cache, a block of A stays in the second.
 *
 * <p>Tasks cut rows and columns only, and every element of C is summed in the order of k, so
 * results are the same for any number of threads. The object's own fields describe the running
 * product to the workers: a product allocates nothing on the heap.
 *
 * <p>Measured on Zen 5, one thread, beside oneDNN: in bf16 [1568,384] by [384,1152] 393 GF/s
 * instead of 366, and the weight gradient of [1568,384] and [1568,1536] 377 instead of 342; in F32
 * about the same but for weight gradients, [256,2048] by [2048,1024] 172 instead of 161.
 */
final class MachineMultiply implements MatrixMultiply {
  /** Words along k in a block: a panel of B then takes 192 KiB of the second-level cache. */
  private static final long DEPTH = 1024;

  /**
   * The same where B is small: sums are then written once and not read again, which gains 5 % with
   * 1152 or 1536 values along k. With a larger B that lost up to 5 %, the sooner where A is packed.
   */
  private static final long LONG_DEPTH = 2048;

  /** Bytes of a block of A: a part of the second-level cache. */
  private static final long BLOCK_BYTES = 512 << 10;

  /** Rows of a block. */
  private static final long MAX_BLOCK_ROWS = 128;

  private static final long MIN_BLOCK_ROWS = 32;

  /** Tasks to aim at, so that a few threads end at about the same time. */
  private static final long TASKS = 8;

  /** Packed B of one block of k at most, in words; wider products go in groups of columns. */
  private static final long PACKED_WORDS = 1L << 21;

  /** Panels of B that one thread packs at once, by rows of whole lines. */
  private static final long PACKED_AT_ONCE = 4;

  /** The last panels of a block of rows, in which the next one is fetched. */
  private static final long FETCHING_PANELS = 2;

  /** Rows of C below which packing all of B costs more than the better code gains. */
  private static final long FEW_ROWS = 16;

  private final WorkerPool workers;
  private final MemoryPool memory;
  private final MatrixMultiply others;
  private final WorkerPool.RangeTask packTask = this::pack;
  private final WorkerPool.WorkerTask computeTask = this::compute;
  private final WorkerPool.WorkerTask batchTask = this::batched;
  private final FetchAhead ahead = new FetchAhead();

  // The running product.
  private Product product = new Product();
  private long blockK;
  private long groupColumn;
  private long groupColumns;
  private long packed;
  private long starts;
  private long sums;
  private long sumStride;
  private long scratch;
  private long scratchBytes;
  private long blockRows;
  private long columnSplits;

  /**
   * Products for a rank's threads.
   *
   * @param others computes F32 products of few rows
   */
  MachineMultiply(WorkerPool workers, MemoryPool memory, MatrixMultiply others) {
    this.workers = workers;
    this.memory = memory;
    this.others = others;
  }

  @Override
  public String name() {
    return "machine code products";
  }

  /**
   * Whether A is packed: where values of neighbouring k are not neighbours, and where the last one
   * has to be completed to a pair.
   */
  private static boolean packsA(Product p) {
    return p.transposeA || p.bf16 && p.depth % 2 != 0;
  }

  @Override
  public void multiply(Product newProduct) {
    if (!newProduct.bf16 && newProduct.rows < FEW_ROWS && !newProduct.transposeA) {
      others.multiply(newProduct);
      return;
    }
    product = newProduct;
    if (newProduct.beta != 0 && newProduct.beta != 1) {
      PackedMultiply.scaleC(workers, newProduct);
    }
    if (newProduct.batch == 1) {
      multiplyOne();
    } else if (newProduct.batch < workers.threads()
        && newProduct.rows * newProduct.columns * newProduct.depth > 1L << 21) {
      multiplyBatchOneByOne();
    } else {
      multiplyBatch();
    }
  }

  // ---- one product, all threads

  private void multiplyOne() {
    Product p = product;
    long step = depthStep(p);
    long words = WordPacking.words(p.bf16, step);
    long groupWidth = Math.max(COLUMNS, PACKED_WORDS / words / COLUMNS * COLUMNS);
    long width = Math.min(groupWidth, p.columns);
    blockRows = blockRows(p, workers.threads());
    scratchBytes = scratchBytes(p, blockRows);
    long packedBytes = panels(width) * COLUMN_BYTES * words;
    long startBytes = panels(width) * COLUMN_BYTES;
    sumStride = panels(width) * COLUMN_BYTES;
    long sumBytes = keepsSums(p) ? p.rows * sumStride : 0;
    Block block =
        memory.borrow(packedBytes + startBytes + sumBytes + workers.threads() * scratchBytes);
    try {
      packed = block.segment().address();
      starts = packed + packedBytes;
      sums = starts + startBytes;
      scratch = sums + sumBytes;
      for (long column = 0; column < p.columns; column += groupWidth) {
        groupColumn = column;
        groupColumns = Math.min(groupWidth, p.columns - column);
        writeStarts();
        long panels = panels(groupColumns);
        long rowBlocks = (p.rows + blockRows - 1) / blockRows;
        long wanted = workers.threads() == 1 ? 1 : Math.max(1, TASKS / rowBlocks);
        columnSplits = Math.min(panels, wanted);
        for (long k = 0; k < p.depth; k += step) {
          blockK = k;
          long least = workers.threads() == 1 ? PACKED_AT_ONCE : 1;
          workers.run(panels, Math.max(least, panels / TASKS), packTask);
          workers.runOnWorkers(rowBlocks * columnSplits, 1, computeTask);
        }
      }
    } finally {
      block.release();
    }
  }

  private void pack(long startPanel, long endPanel) {
    packColumns(0, blockK, startPanel, endPanel, packed);
  }

  private void compute(int worker, long start, long end) {
    for (long task = start; task < end; task++) {
      long row = task / columnSplits * blockRows;
      long split = task % columnSplits;
      long panels = panels(groupColumns);
      computeBlock(
          0,
          row,
          (int) Math.min(blockRows, product.rows - row),
          blockK,
          panels * split / columnSplits,
          panels * (split + 1) / columnSplits,
          packed,
          sums + row * sumStride,
          scratch + worker * scratchBytes);
    }
  }

  // ---- many products, one a task

  private void multiplyBatch() {
    Product p = product;
    groupColumn = 0;
    groupColumns = p.columns;
    blockRows = blockRows(p, 1);
    long startBytes = panels(p.columns) * COLUMN_BYTES;
    sumStride = panels(p.columns) * COLUMN_BYTES;
    long sumBytes = keepsSums(p) ? p.rows * sumStride : 0;
    scratchBytes = packedBytes(p) + sumBytes + scratchBytes(p, blockRows);
    Block block = memory.borrow(startBytes + workers.threads() * scratchBytes);
    try {
      starts = block.segment().address();
      scratch = starts + startBytes;
      writeStarts();
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
    p.a = a;
    p.b = b;
    p.c = c;
  }

  private void batched(int worker, long start, long end) {
    Product p = product;
    long own = scratch + worker * scratchBytes;
    long ownSums = own + packedBytes(p);
    long rest = ownSums + (keepsSums(p) ? p.rows * sumStride : 0);
    long panels = panels(p.columns);
    long step = depthStep(p);
    for (long i = start; i < end; i++) {
      for (long k = 0; k < p.depth; k += step) {
        packColumns(i, k, 0, panels, own);
        for (long row = 0; row < p.rows; row += blockRows) {
          int rows = (int) Math.min(blockRows, p.rows - row);
          computeBlock(i, row, rows, k, 0, panels, own, ownSums + row * sumStride, rest);
        }
      }
    }
  }

  /** Bytes of a block of k of B, all columns. */
  private static long packedBytes(Product p) {
    return MachineBlocks.packedColumns(p.columns, WordPacking.words(p.bf16, depthStep(p)));
  }

  // ---- the parts, for one thread

  /** Packs panels of op(b) for the block of steps along k that begins at {@code k}. */
  private void packColumns(long batchIndex, long k, long startPanel, long endPanel, long to) {
    Product p = product;
    long column = startPanel * COLUMNS;
    int columns = (int) (Math.min(endPanel * COLUMNS, groupColumns) - column);
    int depth = (int) Math.min(depthStep(p), p.depth - k);
    long words = WordPacking.words(p.bf16, depth);
    long target = to + startPanel * words * COLUMN_BYTES;
    long from = p.bAt(k, groupColumn + column) + batchIndex * p.bBatchStride;
    if (p.transposeB) {
      WordPacking.alongRows(p.bf16, from, p.bStride, columns, depth, TileCode.VECTORS, target);
    } else {
      WordPacking.acrossRows(p.bf16, from, p.bStride, columns, depth, TileCode.VECTORS, target);
    }
    if (p.alpha != 1) {
      int floats = (int) ((endPanel - startPanel) * words * COLUMNS);
      VectorArithmetic.scale(target, p.alpha, target, floats);
    }
  }

  /**
   * Adds a block of k to rows [row, row + rows) of C, for the panels from startPanel to endPanel.
   *
   * @param sumsAt where those rows' sums are kept until they are complete, if they are kept
   * @param own room for packed rows of A
   */
  private void computeBlock(
      long batchIndex,
      long row,
      int rows,
      long k,
      long startPanel,
      long endPanel,
      long panelsAt,
      long sumsAt,
      long own) {
    Product p = product;
    int depth = (int) Math.min(depthStep(p), p.depth - k);
    long words = WordPacking.words(p.bf16, depth);
    boolean last = k + depth >= p.depth;
    boolean kept = keepsSums(p);
    long a = p.aAt(row, k) + batchIndex * p.aBatchStride;
    if (p.transposeA) {
      // What is packed more than once is added once.
      boolean adds = p.rowSums != 0 && groupColumn == 0 && startPanel == 0;
      long rowSums = adds ? p.rowSums + Float.BYTES * row : 0;
      WordPacking.acrossRows(p.bf16, a, p.aStride, rows, depth, 1, own, rowSums);
    } else if (packsA(p)) {
      WordPacking.alongRows(p.bf16, a, p.aStride, rows, depth, 1, own);
    }
    TileKernels code = kernels(p, last);
    long resultBytes = p.bf16Result ? Short.BYTES : Float.BYTES;
    long cRow = p.c + batchIndex * p.cBatchStride + row * p.cStride + resultBytes * groupColumn;
    @Nullable FetchAhead fetched = workers.threads() == 1 ? ahead : null;
    if (fetched != null) {
      fetched.nothing();
    }
    for (long panel = startPanel; panel < endPanel; panel++) {
      if (fetched != null && panel == Math.max(startPanel, endPanel - FETCHING_PANELS)) {
        fetchNextRows(row, k);
      }
      long column = panel * COLUMNS;
      int columns = (int) Math.min(COLUMNS, groupColumns - column);
      long b = panelsAt + panel * words * COLUMN_BYTES;
      long result = cRow + resultBytes * column;
      long sum = sumsAt + Float.BYTES * column;
      long c = kept && !last ? sum : result;
      long cStride = kept && !last ? sumStride : p.cStride;
      long start = starts + panel * COLUMN_BYTES;
      long startStride = 0;
      if (k > 0 || p.beta != 0) {
        start = kept ? sum : result;
        startStride = kept ? sumStride : p.cStride;
      }
      if (packsA(p)) {
        MachineBlocks.packed(
            code, own, words, b, c, cStride, start, startStride, rows, columns, fetched);
      } else {
        MachineBlocks.lying(
            code, a, p.aStride, words, b, c, cStride, start, startStride, rows, columns, true);
      }
    }
    if (last && p.activation != UnaryOperation.IDENTITY) {
      long column = startPanel * COLUMNS;
      long columns = Math.min(endPanel * COLUMNS, groupColumns) - column;
      long to = p.activated + row * p.cStride + 4 * (groupColumn + column);
      activate(p, cRow + 4 * column, to, rows, (int) columns);
    }
  }

  /** Has the rows of A fetched that the next block packs, which on one thread comes next. */
  private void fetchNextRows(long row, long k) {
    Product p = product;
    long next = row + blockRows;
    if (p.batch == 1 && p.transposeA && next < p.rows) {
      long rows = Math.min(blockRows, p.rows - next);
      long bytes = rows * (p.bf16 ? Short.BYTES : Float.BYTES);
      ahead.rows(p.aAt(next, k), p.aStride, bytes, p.bf16 ? 2 : 1);
    }
  }

  /** The activation of rows of F32 results, which lie in a cache still. */
  private static void activate(Product p, long from, long to, int rows, int columns) {
    @Nullable MachineLoops loops = MachineLoops.here();
    @Nullable VectorLoop loop = loops == null ? null : loops.unary(p.activation, Type.F32);
    if (loop == null) {
      VectorUnary.applyRows(p.activation, from, p.cStride, to, p.cStride, rows, columns);
      return;
    }
    for (int row = 0; row < rows; row++) {
      loop.run(from + row * p.cStride, to + row * p.cStride, 0, columns);
    }
  }

  /** The code for a block of k; only the last one writes a rounded result. */
  private static TileKernels kernels(Product p, boolean last) {
    TileCode.Kind kind = TileCode.Kind.F32;
    if (p.bf16) {
      kind = p.bf16Result && last ? TileCode.Kind.BF16 : TileCode.Kind.BF16_TO_F32;
    }
    TileKernels code = TileKernels.of(kind);
    if (code == null) {
      throw new IllegalStateException("MachineMultiply: no machine code for this processor");
    }
    return code;
  }

  /**
   * Whether sums are kept in F32 beside C: where C, being rounded, cannot hold them from a block of
   * k to the next.
   */
  private static boolean keepsSums(Product p) {
    return p.bf16Result && depthStep(p) < p.depth;
  }

  /** The bias, or zeros, padded to whole panels. */
  private void writeStarts() {
    Product p = product;
    Tiles.fill(starts, panels(groupColumns) * COLUMNS, 0);
    if (p.bias != 0) {
      Tiles.copy(p.bias + 4 * groupColumn, starts, (int) groupColumns);
    }
  }

  /** Values along k in a block: as even as they come, and whole pairs. */
  private static long depthStep(Product p) {
    long longWords = Math.min(LONG_DEPTH, WordPacking.words(p.bf16, p.depth));
    long smallWords = packsA(p) ? PACKED_WORDS / 2 : PACKED_WORDS;
    long words = p.columns * longWords <= smallWords ? LONG_DEPTH : DEPTH;
    long most = p.bf16 ? 2 * words : words;
    long blocks = (p.depth + most - 1) / most;
    long even = (p.depth + blocks - 1) / blocks;
    return p.bf16 ? even + even % 2 : even;
  }

  private static long blockRows(Product p, int threads) {
    long words = WordPacking.words(p.bf16, depthStep(p));
    long most = Math.clamp(BLOCK_BYTES / (4 * words), MIN_BLOCK_ROWS, MAX_BLOCK_ROWS);
    long shared = threads == 1 ? p.rows : (p.rows + TASKS - 1) / TASKS;
    return AttentionBlocks.roundUp(
        Math.clamp(shared, MIN_BLOCK_ROWS, most), MachineBlocks.PACKED_ROWS);
  }

  /** Bytes of a block of packed A, which is nothing where A is read as it lies. */
  private static long scratchBytes(Product p, long blockRows) {
    long words = WordPacking.words(p.bf16, depthStep(p));
    return packsA(p) ? MachineBlocks.packedRows(blockRows, words) : 0;
  }
}
