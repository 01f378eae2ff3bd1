package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static dev.heddle.runtime.cpu.Lanes.stride;

import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;

/**
 * The sum of the rows of a matrix: a bias gradient, the combination of partial results. Long
 * matrices are summed in chunks of rows whose sums are then added in order, so the result depends
 * on the shape alone.
 */
final class ColumnSums {
  private static final long MAX_CHUNKS = 32;
  private static final long MIN_CHUNK_ROWS = 32;

  private final WorkerPool workers;
  private final MemoryPool memory;

  ColumnSums(WorkerPool workers, MemoryPool memory) {
    this.workers = workers;
    this.memory = memory;
  }

  /**
   * to[j] = Σ over rows of from[row, j].
   *
   * @param from address of the first row
   * @param rowBytes bytes between rows
   * @param to address of {@code columns} floats
   */
  void add(long from, long rowBytes, long rows, int columns, long to) {
    long grain = chunkRows(rows);
    long chunks = (rows + grain - 1) / grain;
    if (chunks <= 1) {
      sumRows(from, rowBytes, rows, columns, to);
      return;
    }
    long sumBytes = 4L * columns;
    Block block = memory.borrow(chunks * sumBytes);
    try {
      long sums = block.segment().address();
      workers.run(
          rows,
          grain,
          (start, end) ->
              sumRows(
                  from + start * rowBytes,
                  rowBytes,
                  end - start,
                  columns,
                  sums + start / grain * sumBytes));
      sumRows(sums, sumBytes, chunks, columns, to);
    } finally {
      block.release();
    }
  }

  /** Rows of a chunk; a matrix of no more of them is summed as one. */
  static long chunkRows(long rows) {
    return Math.max(MIN_CHUNK_ROWS, (rows + MAX_CHUNKS - 1) / MAX_CHUNKS);
  }

  /**
   * {@link #add} on this thread: four rows at a time, so that sums are seldom loaded and stored.
   */
  static void sumRows(long from, long rowBytes, long rows, int columns, long to) {
    Tiles.fill(to, columns, 0);
    long row = 0;
    for (; row + 4 <= rows; row += 4) {
      addFour(from + row * rowBytes, rowBytes, columns, to);
    }
    for (; row < rows; row++) {
      VectorArithmetic.addScaled(from + row * rowBytes, 1, to, columns);
    }
  }

  private static void addFour(long from, long rowBytes, int n, long to) {
    long x = address(from);
    long y = address(to);
    long r1 = stride(rowBytes);
    long r2 = 2 * r1;
    long r3 = 3 * r1;
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      long at = x + 4L * i;
      FloatVector pair = load(at).add(load(at + r1));
      store(pair.add(load(at + r2).add(load(at + r3))).add(load(y + 4L * i)), y + 4L * i);
    }
    if (bound < n) {
      VectorMask<Float> rest = Lanes.first(n - bound);
      long at = x + 4L * bound;
      FloatVector pair = load(at, rest).add(load(at + r1, rest));
      FloatVector four = pair.add(load(at + r2, rest).add(load(at + r3, rest)));
      store(four.add(load(y + 4L * bound, rest)), y + 4L * bound, rest);
    }
  }
}
