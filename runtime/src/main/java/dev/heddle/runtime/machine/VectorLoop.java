package dev.heddle.runtime.machine;

import dev.heddle.runtime.machine.VectorProgram.Type;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;

/**
 * The machine code of a {@link VectorProgram}, for arrays of any length and anywhere. It may run on
 * several threads at a time. It stays until the JVM ends, as code does.
 */
public final class VectorLoop {
  private static final int LANES = VectorProgram.LANES;
  private static final int ARGUMENTS = 8;

  private static final MethodHandle CALL = ExecutableMemory.caller(ARGUMENTS);

  private final MemorySegment whole;
  private final MemorySegment rest;
  private final int copies;
  private final int[] bytes = new int[VectorProgram.MAX_ARRAYS];
  private final int scalars;
  private final int[] constants;
  private final long fixed;

  VectorLoop(
      MemorySegment whole,
      MemorySegment rest,
      int copies,
      Type[] arrays,
      int scalars,
      List<Integer> constants) {
    this.whole = whole;
    this.rest = rest;
    this.copies = copies;
    for (int i = 0; i < arrays.length; i++) {
      bytes[i] = arrays[i].bytes();
    }
    this.scalars = scalars;
    this.constants = constants.stream().mapToInt(Integer::intValue).toArray();
    this.fixed = scalars == 0 ? table(Arena.global()).address() : 0;
  }

  /**
   * Memory for the scalars of a call, where they lie side by side from the first on, and behind
   * them the program's constants.
   *
   * @param arena how long it lives
   */
  public MemorySegment table(Arena arena) {
    MemorySegment table = arena.allocate(Math.max(1, constants.length) * (long) Float.BYTES, 64);
    for (int i = scalars; i < constants.length; i++) {
      table.setAtIndex(ValueLayout.JAVA_INT, i, constants[i]);
    }
    return table;
  }

  /**
   * Runs a program without scalars on {@code n} elements; of arrays that it has not, anything.
   *
   * @throws IllegalStateException if it has scalars
   */
  public void run(long a, long b, long c, long n) {
    if (fixed == 0) {
      throw new IllegalStateException("VectorLoop: a program with scalars needs a table of them");
    }
    run(a, b, c, 0, 0, n, fixed);
  }

  /**
   * Runs a program on {@code n} elements, all of them in one call that no collector interrupts:
   * long arrays go in pieces of some ten thousand.
   *
   * @param a the first array's first element, and so on; of arrays that it has not, anything
   * @param table the address of a {@link #table}, with the call's scalars
   */
  public void run(long a, long b, long c, long d, long e, long n, long table) {
    long turns = n / (LANES * copies);
    long done = turns * LANES * copies;
    try {
      if (turns > 0) {
        CALL.invokeExact(whole, a, b, c, d, e, turns, table, 0L);
      }
      for (; done < n; done += LANES) {
        long mask = (1L << Math.min(LANES, n - done)) - 1;
        CALL.invokeExact(
            rest,
            a + done * bytes[0],
            b + done * bytes[1],
            c + done * bytes[2],
            d + done * bytes[3],
            e + done * bytes[4],
            1L,
            table,
            mask);
      }
    } catch (Throwable thrown) {
      throw new IllegalStateException("VectorLoop: calling machine code failed", thrown);
    }
  }
}
