package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.cpu.Lanes.LENGTH;
import static dev.heddle.runtime.cpu.Lanes.address;
import static dev.heddle.runtime.cpu.Lanes.load;
import static dev.heddle.runtime.cpu.Lanes.store;
import static dev.heddle.runtime.cpu.Lanes.stride;

import dev.heddle.runtime.BinaryOperation;
import dev.heddle.runtime.machine.VectorLoop;
import dev.heddle.runtime.machine.VectorProgram.Type;
import dev.heddle.runtime.memory.Block;
import dev.heddle.runtime.memory.MemoryPool;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

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
  private final @Nullable VectorLoop addition;

  /**
   * For a rank's threads.
   *
   * @param machine loops by machine code where there are some, null for Java
   */
  ColumnSums(WorkerPool workers, MemoryPool memory, @Nullable MachineLoops machine) {
    this.workers = workers;
    this.memory = memory;
    this.addition = machine == null ? null : machine.binary(BinaryOperation.ADD, Type.F32);
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
   * What is left of a row is added one by one: the compiler would spend on masked vectors what it
   * has for inlining, and in some runs leave calls, and objects for them, in the loops before.
   */
  void sumRows(long from, long rowBytes, long rows, int columns, long to) {
    Tiles.fill(to, columns, 0);
    long row = 0;
    for (; row + 4 <= rows; row += 4) {
      addFour(from + row * rowBytes, rowBytes, columns, to);
    }
    for (; row < rows; row++) {
      long at = from + row * rowBytes;
      if (addition != null) {
        addition.run(at, to, to, columns);
      } else {
        addOne(at, columns, to);
      }
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
    for (int i = bound; i < n; i++) {
      long at = x + 4L * i;
      float pair = Lanes.get(at) + Lanes.get(at + r1);
      float four = pair + (Lanes.get(at + r2) + Lanes.get(at + r3));
      Lanes.set(y + 4L * i, four + Lanes.get(y + 4L * i));
    }
  }

  private static void addOne(long from, int n, long to) {
    long x = address(from);
    long y = address(to);
    int bound = n & -LENGTH;
    for (int i = 0; i < bound; i += LENGTH) {
      store(load(x + 4L * i).add(load(y + 4L * i)), y + 4L * i);
    }
    for (int i = bound; i < n; i++) {
      Lanes.set(y + 4L * i, Lanes.get(x + 4L * i) + Lanes.get(y + 4L * i));
    }
  }
}
