package dev.heddle.runtime.cpu;

import dev.heddle.runtime.machine.Assembler;
import dev.heddle.runtime.machine.ExecutableMemory;
import dev.heddle.runtime.machine.Processor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The machine code of product tiles, ready to be called: one function for each number of rows and
 * of vectors, made when a kind is first used.
 */
final class TileKernels {
  /** Rows of a tile; the last may have fewer. */
  static final int ROWS = TileCode.ROWS;

  /** Columns of a panel of B; the last may have fewer. */
  static final int COLUMNS = TileCode.VECTORS * TileCode.LANES;

  /** Bytes of a step along k in a panel of B. */
  static final int COLUMN_BYTES = COLUMNS * Float.BYTES;

  private static final int ARGUMENTS = 17;
  private static final int CODE_UNIT = 64;

  private static final MethodHandle CALL = ExecutableMemory.caller(ARGUMENTS);

  private final MemorySegment[] functions;
  private final TileCode.Kind kind;
  private final int panelVectors;

  private TileKernels(MemorySegment[] functions, TileCode.Kind kind, int panelVectors) {
    this.functions = functions;
    this.kind = kind;
    this.panelVectors = panelVectors;
  }

  /** Columns of a panel of B. */
  int panelColumns() {
    return panelVectors * TileCode.LANES;
  }

  // A holder a kind, so that only what is used is made.

  private static final class F32 {
    static final @Nullable TileKernels KERNELS = make(TileCode.Kind.F32, Processor.here().avx512());
  }

  private static final class Bf16ToF32 {
    static final @Nullable TileKernels KERNELS =
        make(TileCode.Kind.BF16_TO_F32, Processor.here().bf16());
  }

  private static final class Bf16 {
    static final @Nullable TileKernels KERNELS = make(TileCode.Kind.BF16, Processor.here().bf16());
  }

  private static final class NarrowBf16ToF32 {
    static final @Nullable TileKernels KERNELS =
        make(TileCode.Kind.BF16_TO_F32, Processor.here().bf16(), TileCode.NARROW_VECTORS);
  }

  private static final class NarrowBf16 {
    static final @Nullable TileKernels KERNELS =
        make(TileCode.Kind.BF16, Processor.here().bf16(), TileCode.NARROW_VECTORS);
  }

  /** The kernels of a kind; null if this machine cannot run them. */
  static @Nullable TileKernels of(TileCode.Kind kind) {
    return switch (kind) {
      case F32 -> F32.KERNELS;
      case BF16_TO_F32 -> Bf16ToF32.KERNELS;
      case BF16 -> Bf16.KERNELS;
    };
  }

  /**
   * The same kind, bf16, for panels of {@link TileCode#NARROW_VECTORS} vectors: four vectors are
   * two such panels in 16 cycles a step, and 18 as three and one, whose few sums wait for each
   * other.
   */
  TileKernels narrow() {
    @Nullable TileKernels narrow =
        switch (kind) {
          case F32 -> null;
          case BF16_TO_F32 -> NarrowBf16ToF32.KERNELS;
          case BF16 -> NarrowBf16.KERNELS;
        };
    if (narrow == null) {
      throw new IllegalStateException("TileKernels: no narrow panels of " + kind + " here");
    }
    return narrow;
  }

  /** Whether products of F32 can run; operands are packed with vectors of the same width. */
  static boolean multiplyF32() {
    return Lanes.LENGTH == TileCode.LANES && of(TileCode.Kind.F32) != null;
  }

  /** Whether products of bf16 can run. */
  static boolean multiplyBf16() {
    return Lanes.LENGTH == TileCode.LANES && of(TileCode.Kind.BF16) != null;
  }

  private static @Nullable TileKernels make(TileCode.Kind kind, boolean possible) {
    return make(kind, possible, TileCode.VECTORS);
  }

  private static @Nullable TileKernels make(
      TileCode.Kind kind, boolean possible, int panelVectors) {
    if (!possible) {
      return null;
    }
    Assembler code = new Assembler();
    int[] starts = new int[(TileCode.ROWS + 1) * panelVectors + 1];
    int function = 0;
    for (int rows = 1; rows <= TileCode.ROWS; rows++) {
      for (int vectors = 1; vectors <= panelVectors; vectors++) {
        code.align(CODE_UNIT);
        starts[function++] = code.position();
        TileCode.append(code, kind, rows, vectors, panelVectors, false);
      }
    }
    for (int vectors = 1; vectors <= panelVectors; vectors++) {
      code.align(CODE_UNIT);
      starts[function++] = code.position();
      TileCode.append(code, kind, TileCode.ROWS, vectors, panelVectors, true);
    }
    starts[function] = code.position();
    Optional<MemorySegment[]> functions = ExecutableMemory.functions(code, starts);
    return functions.isPresent() ? new TileKernels(functions.get(), kind, panelVectors) : null;
  }

  /** Functions that fetch, which exist for whole tiles only, follow all others. */
  private int index(int rows, int vectors, boolean fetches) {
    return (rows - 1 + (fetches ? 1 : 0)) * panelVectors + vectors - 1;
  }

  /**
   * c = start + a b for a column of {@code tiles} tiles of {@code rows} rows by {@code columns}. A
   * step along k is a word of 4 bytes: one F32 value, or two bf16 values. Strides and distances are
   * bytes.
   *
   * @param rows 1 to {@link #ROWS}
   * @param columns 1 to {@link #panelColumns}
   * @param a the first row's first word
   * @param aRow from a row of A to the next
   * @param aStep from a word of a row to the next
   * @param b a panel of B: 4 bytes a column for each step
   * @param c the first tile's first element
   * @param cRow from a row of C to the next
   * @param steps words along k, at least 1
   * @param start F32 values that the sums start from: C itself to accumulate, a bias, or zeros
   * @param startRow from a row of them to the next; 0 for one row used by all
   * @param tiles at least 1
   * @param aTile from a tile's rows of A to the next tile's
   * @param cTile from a tile of C to the next
   * @param startTile the same of {@code start}
   * @param ahead where the first tile begins to fetch what is needed later
   * @param aheadStep how far fetching moves with each step along k; 0 to fetch nothing
   * @param aheadTile how far its begin moves with each tile
   */
  void run(
      int rows,
      int columns,
      long a,
      long aRow,
      long aStep,
      long b,
      long c,
      long cRow,
      long steps,
      long start,
      long startRow,
      long tiles,
      long aTile,
      long cTile,
      long startTile,
      long ahead,
      long aheadStep,
      long aheadTile) {
    int vectors = (columns + TileCode.LANES - 1) / TileCode.LANES;
    long mask = (1L << columns - (vectors - 1) * TileCode.LANES) - 1;
    MemorySegment function = functions[index(rows, vectors, aheadStep != 0 && rows == ROWS)];
    try {
      CALL.invokeExact(
          function, a, aRow, aStep, b, c, cRow, steps, start, startRow, tiles, mask, aTile, cTile,
          startTile, ahead, aheadStep, aheadTile);
    } catch (Throwable thrown) {
      throw new IllegalStateException("TileKernels: calling machine code failed", thrown);
    }
  }
}
