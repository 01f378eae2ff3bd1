package dev.heddle.runtime.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;

/**
 * The machine code of a {@link VectorProgram} of rows: for each of some rows it reads scalars, goes
 * over the row's elements, and writes the results of its running sums. It may run on several
 * threads at a time. It stays until the JVM ends, as code does.
 *
 * <p>Rows are of whole vectors as far as memory goes: of a row's last vector those elements that
 * are not there may be written, as zeros, and of its arrays none of them is read.
 */
public final class RowLoop {
  /** Scalars of a row at most, and results. */
  public static final int MAX_SCALARS = 4;

  // Where the code finds what: addresses, and how far it is to the same of the next row.
  static final int WORD = Long.BYTES;
  static final int ARRAYS = 0;
  static final int ARRAY_STEPS = ARRAYS + WORD * VectorProgram.MAX_ROW_ARRAYS;
  static final int SCALARS = ARRAY_STEPS + WORD * VectorProgram.MAX_ROW_ARRAYS;
  static final int SCALAR_STEPS = SCALARS + WORD * MAX_SCALARS;
  static final int RESULTS = SCALAR_STEPS + WORD * MAX_SCALARS;
  static final int RESULT_STEPS = RESULTS + WORD * MAX_SCALARS;
  static final int LENGTHS = RESULT_STEPS + WORD * MAX_SCALARS;
  static final int LENGTH_STEP = LENGTHS + WORD;
  static final int CONSTANTS = LENGTH_STEP + WORD;
  static final int ROWS = CONSTANTS + WORD;
  private static final int VALUES = ROWS + WORD;
  private static final int FIRST_LENGTH = VALUES + Float.BYTES * MAX_SCALARS;

  // A row's length: pairs of vectors, whether there is one more, the lanes of another one, vectors
  // of zeros behind.
  static final int PAIRS = 0;
  static final int ONE = PAIRS + WORD;
  static final int MASK = ONE + WORD;
  static final int EMPTY = MASK + WORD;
  private static final int LENGTH_BYTES = EMPTY + WORD;

  private static final int LANES = VectorProgram.LANES;
  private static final int FEW_ROWS = 256;

  /** All memory: nothing to check at each access of what is checked once. */
  private static final MemorySegment EVERYTHING = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

  private static final MethodHandle CALLER = ExecutableMemory.caller(1);
  private static final ThreadLocal<Call> CALL_OF_THREAD = ThreadLocal.withInitial(Call::new);

  private final MemorySegment function;
  private final long constants;

  RowLoop(MemorySegment function, int scalars, List<Integer> constants) {
    this.function = function;
    MemorySegment table =
        Arena.global().allocate(Math.max(1, constants.size()) * (long) Float.BYTES, Long.BYTES);
    for (int i = scalars; i < constants.size(); i++) {
      table.setAtIndex(ValueLayout.JAVA_INT, i, constants.get(i));
    }
    this.constants = table.address();
  }

  /** This thread's call, the same object for all loops: to be filled in and run at once. */
  public static Call call() {
    return CALL_OF_THREAD.get();
  }

  /** What a loop is run on. */
  public static final class Call {
    private MemorySegment memory = Arena.ofAuto().allocate(bytes(FEW_ROWS), Long.BYTES);
    private long address = memory.address();

    private Call() {}

    private static long bytes(long rows) {
      return FIRST_LENGTH + rows * LENGTH_BYTES;
    }

    private void set(long at, long value) {
      EVERYTHING.set(ValueLayout.JAVA_LONG_UNALIGNED, address + at, value);
    }

    /**
     * An array.
     *
     * @param address the first element of its first row
     * @param step bytes from a row to the next, 0 for the same row each time
     */
    public void array(int number, long address, long step) {
      set(ARRAYS + (long) WORD * number, address);
      set(ARRAY_STEPS + (long) WORD * number, step);
    }

    /** Where a scalar of the first row is, and how far it is to that of the next. */
    public void scalar(int number, long address, long step) {
      set(SCALARS + (long) WORD * number, address);
      set(SCALAR_STEPS + (long) WORD * number, step);
    }

    /** A scalar that is the same for all rows. */
    public void scalar(int number, float value) {
      long at = address + VALUES + (long) Float.BYTES * number;
      EVERYTHING.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, value);
      scalar(number, at, 0);
    }

    /** Where a result of the first row goes, likewise. */
    public void result(int number, long address, long step) {
      set(RESULTS + (long) WORD * number, address);
      set(RESULT_STEPS + (long) WORD * number, step);
    }

    /** All rows have so many elements. */
    public void length(int elements) {
      set(LENGTH_STEP, 0);
      length(0, elements, elements);
    }

    /**
     * Rows have lengths of their own, {@link #length(int, int, int)}, from now on. Comes before all
     * else, because what is said then may move.
     */
    public void lengths(int rows) {
      if (memory.byteSize() < bytes(rows)) {
        MemorySegment more = Arena.ofAuto().allocate(bytes(rows), Long.BYTES);
        memory = more.copyFrom(memory.asSlice(0, FIRST_LENGTH));
        address = memory.address();
      }
      set(LENGTH_STEP, LENGTH_BYTES);
    }

    /**
     * The length of one row.
     *
     * @param elements how many it has
     * @param defined up to where, a whole number of vectors, what is stored has zeros behind them
     */
    public void length(int row, int elements, int defined) {
      long at = FIRST_LENGTH + (long) LENGTH_BYTES * row;
      int rest = elements % LANES;
      set(at + PAIRS, elements / (2 * LANES));
      set(at + ONE, elements / LANES % 2);
      set(at + MASK, (1 << rest) - 1);
      set(at + EMPTY, Math.max(0, defined / LANES - (elements + LANES - 1) / LANES));
    }

    /** Runs a loop on so many rows. */
    public void run(RowLoop loop, long rows) {
      if (rows <= 0) {
        return;
      }
      set(LENGTHS, address + FIRST_LENGTH);
      set(CONSTANTS, loop.constants);
      set(ROWS, rows);
      try {
        CALLER.invokeExact(loop.function, address);
      } catch (Throwable thrown) {
        throw new IllegalStateException("RowLoop: calling machine code failed", thrown);
      }
    }
  }
}
