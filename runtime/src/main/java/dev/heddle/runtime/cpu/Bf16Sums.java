package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.store;
import static dev.heddle.runtime.cpu.Lanes.stride;

import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import jdk.incubator.vector.FloatVector;

/**
 * The sum of the rows of a bf16 matrix, formed in F32 and rounded once: {@link ColumnSums} without
 * an F32 copy of what is summed. How rows are cut depends on the shape alone.
 */
final class Bf16Sums {
  private static final int ROWS_AT_ONCE = 4;

  private final WorkerPool workers;
  private final MemoryPool memory;

  Bf16Sums(WorkerPool workers, MemoryPool memory) {
    this.workers = workers;
    this.memory = memory;
  }

  /**
   * to[j] = Σ over rows of from[row, j].
   *
   * @param from address of the first of {@code rows} rows that follow each other
   * @param to address of {@code columns} bf16 values
   */
  void add(long from, long rows, long columns, long to) {
    // Whole fours of rows, so that few are added one by one.
    long grain = AttentionBlocks.roundUp(ColumnSums.chunkRows(rows), ROWS_AT_ONCE);
    long chunks = (rows + grain - 1) / grain;
    Block block = memory.borrow(4 * Math.max(1, chunks) * columns);
    try {
      long sums = block.segment().address();
      long rowBytes = 2 * columns;
      if (chunks <= 1) {
        // A few long rows, such as the samples that share a table of positions: by columns.
        workers.run(
            columns,
            VectorElementwise.GRAIN,
            (start, end) -> {
              long part = sums + 4 * start;
              sumRows(from + 2 * start, rowBytes, rows, (int) (end - start), part);
              Bf16Conversion.narrow(part, to + 2 * start, end - start);
            });
        return;
      }
      int width = Math.toIntExact(columns);
      workers.run(
          rows,
          grain,
          (start, end) ->
              sumRows(
                  from + start * rowBytes,
                  rowBytes,
                  end - start,
                  width,
                  sums + start / grain * 4 * columns));
      for (long chunk = 1; chunk < chunks; chunk++) {
        VectorArithmetic.addScaled(sums + chunk * 4 * columns, 1, sums, width);
      }
      Bf16Conversion.narrow(sums, to, columns);
    } finally {
      block.release();
    }
  }

  /** Four rows at a time, so that sums are seldom loaded and stored. */
  private static void sumRows(long from, long rowBytes, long rows, int columns, long to) {
    Tiles.fill(to, columns, 0);
    long row = 0;
    for (; row + ROWS_AT_ONCE <= rows; row += ROWS_AT_ONCE) {
      addFour(from + row * rowBytes, rowBytes, columns, to);
    }
    for (; row < rows; row++) {
      addOne(from + row * rowBytes, columns, to);
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
      long at = x + 2L * i;
      FloatVector pair = Bf16Conversion.load(at).add(Bf16Conversion.load(at + r1));
      FloatVector other = Bf16Conversion.load(at + r2).add(Bf16Conversion.load(at + r3));
      store(pair.add(other).add(Lanes.load(y + 4L * i)), y + 4L * i);
    }
    for (int i = bound; i < n; i++) {
      long at = from + 2L * i;
      float pair = Bf16Conversion.get(at) + Bf16Conversion.get(at + rowBytes);
      float other = Bf16Conversion.get(at + 2 * rowBytes) + Bf16Conversion.get(at + 3 * rowBytes);
      Lanes.set(to + 4L * i, pair + other + Lanes.get(to + 4L * i));
    }
  }

  private static void addOne(long from, int n, long to) {
    long x = address(from);
    long y = address(to);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(Bf16Conversion.load(x + 2L * i).add(Lanes.load(y + 4L * i)), y + 4L * i);
    }
    for (int i = bound; i < n; i++) {
      Lanes.set(to + 4L * i, Bf16Conversion.get(from + 2L * i) + Lanes.get(to + 4L * i));
    }
  }
}
