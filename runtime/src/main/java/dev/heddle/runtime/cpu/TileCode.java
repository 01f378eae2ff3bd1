package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.machine.Assembler.R10;
import static dev.heddle.runtime.machine.Assembler.R11;
import static dev.heddle.runtime.machine.Assembler.R12;
import static dev.heddle.runtime.machine.Assembler.R13;
import static dev.heddle.runtime.machine.Assembler.R14;
import static dev.heddle.runtime.machine.Assembler.R15;
import static dev.heddle.runtime.machine.Assembler.R8;
import static dev.heddle.runtime.machine.Assembler.R9;
import static dev.heddle.runtime.machine.Assembler.RAX;
import static dev.heddle.runtime.machine.Assembler.RBP;
import static dev.heddle.runtime.machine.Assembler.RBX;
import static dev.heddle.runtime.machine.Assembler.RCX;
import static dev.heddle.runtime.machine.Assembler.RDI;
import static dev.heddle.runtime.machine.Assembler.RDX;
import static dev.heddle.runtime.machine.Assembler.RSI;
import static dev.heddle.runtime.machine.Assembler.RSP;

import dev.heddle.runtime.machine.Assembler;
import dev.heddle.runtime.machine.Assembler.Label;
import dev.heddle.runtime.machine.Assembler.Memory;

/**
 * Writes the machine code of the innermost loops of products: a column of tiles, each of up to 8
 * rows by 3 vectors of sums that stay in registers while k runs (Goto and van de Geijn, "Anatomy of
 * high-performance matrix multiplication", 2008). 24 sums hide the latency of two multiplications a
 * cycle; 3 registers hold a step of B, the other 5 take values of A in turn. On Zen 5 that is 97 %
 * of what the processor multiplies without touching memory, for F32 and for bf16, with operands in
 * the second-level cache. C2 keeps no tile of this size in registers, and has no bf16 instruction.
 *
 * <p>A step along k is one word of 4 bytes: a value in F32, two neighbours in bf16. So both types
 * are read in the same way and differ in one instruction.
 *
 * <p>The code is a function of Linux's calling convention with the arguments of {@link
 * TileKernels#run}; their order is in the constants below.
 */
final class TileCode {
  /** Rows of a tile at most. */
  static final int ROWS = 8;

  /** Vectors a row of a tile at most. */
  static final int VECTORS = 3;

  /** Vectors of a narrow tile. */
  static final int NARROW_VECTORS = 2;

  /** Words of a vector. */
  static final int LANES = 16;

  private static final int VECTOR_BYTES = 64;
  private static final int HALF_BYTES = 32;
  private static final int LAST_MASK = 1;

  // Arguments in registers.
  private static final int A = RDI;
  private static final int A_ROW = RSI;
  private static final int A_STEP = RDX;
  private static final int B = RCX;
  private static final int C = R8;
  private static final int C_ROW = R9;

  // Arguments on the stack, beyond the saved registers and the address to return to.
  private static final int[] SAVED = {RBX, RBP, R12, R13, R14, R15};
  private static final int STEPS = 0;
  private static final int START = 1;
  private static final int START_ROW = 2;
  private static final int TILES = 3;
  private static final int MASK = 4;
  private static final int A_TILE = 5;
  private static final int C_TILE = 6;
  private static final int START_TILE = 7;
  private static final int AHEAD = 8;
  private static final int AHEAD_STEP = 9;
  private static final int AHEAD_TILE = 10;

  // The function's own.
  private static final int A_AT = RAX;
  private static final int B_AT = RBP;
  private static final int STEPS_LEFT = R12;
  private static final int ROWS_LEFT = R13;
  private static final int ROW_AT = R14;
  private static final int AHEAD_AT = ROW_AT;
  private static final int NEXT_C_AT = R15;
  private static final int THREE_ROWS = R10;
  private static final int FIVE_ROWS = R11;
  private static final int SEVEN_ROWS = RBX;

  /** What a tile multiplies and writes. */
  enum Kind {
    /** F32 all along. */
    F32,
    /** bf16 operands, F32 sums. */
    BF16_TO_F32,
    /** bf16 operands, F32 sums that are rounded when they are written. */
    BF16
  }

  private final Assembler code;
  private final Kind kind;
  private final int rows;
  private final int vectors;
  private final int panelVectors;
  private final boolean fetches;

  private TileCode(
      Assembler code, Kind kind, int rows, int vectors, int panelVectors, boolean fetches) {
    this.code = code;
    this.kind = kind;
    this.rows = rows;
    this.vectors = vectors;
    this.panelVectors = panelVectors;
    this.fetches = fetches;
  }

  /**
   * Appends the function for tiles of {@code rows} by {@code vectors}.
   *
   * @param panelVectors vectors of a step in a panel of B, of which the tile reads the first
   * @param fetches whether it fetches memory that is needed later meanwhile
   */
  static void append(
      Assembler code, Kind kind, int rows, int vectors, int panelVectors, boolean fetches) {
    new TileCode(code, kind, rows, vectors, panelVectors, fetches).function();
  }

  private void function() {
    for (int register : SAVED) {
      code.push(register);
    }
    code.mov(RAX, argument(MASK));
    code.kmovw(LAST_MASK, RAX);
    code.lea(THREE_ROWS, Memory.indexed(A_ROW, A_ROW, 2));
    code.lea(FIVE_ROWS, Memory.indexed(A_ROW, A_ROW, 4));
    code.lea(SEVEN_ROWS, Memory.indexed(THREE_ROWS, A_ROW, 4));
    code.align(VECTOR_BYTES);
    Label tile = code.here();
    loadStart();
    multiply();
    storeSums();
    code.add(A, argument(A_TILE));
    code.add(C, argument(C_TILE));
    move(START, START_TILE);
    if (fetches) {
      move(AHEAD, AHEAD_TILE);
    }
    code.mov(A_AT, argument(TILES));
    code.dec(A_AT);
    code.mov(argument(TILES), A_AT);
    code.jnz(tile);
    for (int i = SAVED.length - 1; i >= 0; i--) {
      code.pop(SAVED[i]);
    }
    code.vzeroupper();
    code.ret();
  }

  /** Adds to an argument on the stack, which is the function's own. */
  private void move(int argument, int distance) {
    code.mov(A_AT, argument(argument));
    code.add(A_AT, argument(distance));
    code.mov(argument(argument), A_AT);
  }

  /** One row that all rows start from, such as a bias, is loaded once. */
  private void loadStart() {
    Label oneRow = code.newLabel();
    Label loaded = code.newLabel();
    code.mov(ROW_AT, argument(START));
    loadRow(0);
    code.mov(A_AT, argument(START_ROW));
    code.test(A_AT);
    code.jz(oneRow);
    for (int row = 1; row < rows; row++) {
      code.add(ROW_AT, A_AT);
      loadRow(row);
    }
    code.jmp(loaded);
    code.bind(oneRow);
    for (int row = 1; row < rows; row++) {
      for (int v = 0; v < vectors; v++) {
        code.vmovaps(sum(row, v), sum(0, v));
      }
    }
    code.bind(loaded);
  }

  private void loadRow(int row) {
    for (int v = 0; v < vectors; v++) {
      Memory from = Memory.at(ROW_AT, v * VECTOR_BYTES);
      if (v == vectors - 1) {
        code.vmovups(sum(row, v), from, LAST_MASK);
      } else {
        code.vmovups(sum(row, v), from);
      }
    }
  }

  /**
   * The loop along k. Its first steps fetch a row each of C's next tile: a product that waits for C
   * loses a tenth, and one that fetches all of it at once loses 30 cycles a tile.
   */
  private void multiply() {
    code.mov(A_AT, A);
    code.mov(B_AT, B);
    code.mov(STEPS_LEFT, argument(STEPS));
    if (fetches) {
      code.mov(AHEAD_AT, argument(AHEAD));
    }
    code.mov(NEXT_C_AT, C);
    code.add(NEXT_C_AT, argument(C_TILE));
    code.clear(ROWS_LEFT);
    code.addConstant(ROWS_LEFT, rows);
    Label done = code.newLabel();
    code.align(VECTOR_BYTES);
    Label first = code.here();
    for (int v = 0; v < vectors; v++) {
      if (kind != Kind.BF16 || v % 2 == 0) {
        code.prefetchw(Memory.at(NEXT_C_AT, v * (kind == Kind.BF16 ? HALF_BYTES : VECTOR_BYTES)));
      }
    }
    code.add(NEXT_C_AT, C_ROW);
    step();
    code.jz(done);
    code.dec(ROWS_LEFT);
    code.jnz(first);
    code.align(VECTOR_BYTES);
    Label next = code.here();
    step();
    code.jnz(next);
    code.bind(done);
  }

  /**
   * One step along k. Where it fetches, each step fetches a little of what comes next: nobody has
   * touched it yet, and the processor does not guess eight rows at once.
   */
  private void step() {
    for (int v = 0; v < vectors; v++) {
      code.vmovups(v, Memory.at(B_AT, v * VECTOR_BYTES));
    }
    if (fetches) {
      code.prefetcht0(Memory.at(AHEAD_AT, 0));
      code.add(AHEAD_AT, argument(AHEAD_STEP));
    }
    int free = 2 * LANES - rows * vectors - vectors;
    for (int row = 0; row < rows; row++) {
      int value = vectors + row % Math.min(free, rows);
      code.vpbroadcastd(value, rowOfA(row));
      for (int v = 0; v < vectors; v++) {
        if (kind == Kind.F32) {
          code.vfmadd231ps(sum(row, v), value, v);
        } else {
          code.vdpbf16ps(sum(row, v), value, v);
        }
      }
    }
    code.add(A_AT, A_STEP);
    code.addConstant(B_AT, panelVectors * VECTOR_BYTES);
    code.dec(STEPS_LEFT);
  }

  private void storeSums() {
    code.mov(ROW_AT, C);
    for (int row = 0; row < rows; row++) {
      for (int v = 0; v < vectors; v++) {
        boolean last = v == vectors - 1;
        if (kind == Kind.BF16) {
          code.vcvtneps2bf16(0, sum(row, v));
          code.vmovdqu16Half(Memory.at(ROW_AT, v * HALF_BYTES), 0, last ? LAST_MASK : 0);
        } else if (last) {
          code.vmovups(Memory.at(ROW_AT, v * VECTOR_BYTES), sum(row, v), LAST_MASK);
        } else {
          code.vmovups(Memory.at(ROW_AT, v * VECTOR_BYTES), sum(row, v));
        }
      }
      code.add(ROW_AT, C_ROW);
    }
  }

  /** The register of a sum: from the last one down. */
  private int sum(int row, int vector) {
    return 2 * LANES - 1 - row * vectors - vector;
  }

  private static Memory rowOfA(int row) {
    return switch (row) {
      case 0 -> Memory.at(A_AT, 0);
      case 1 -> Memory.indexed(A_AT, A_ROW, 1);
      case 2 -> Memory.indexed(A_AT, A_ROW, 2);
      case 3 -> Memory.indexed(A_AT, THREE_ROWS, 1);
      case 4 -> Memory.indexed(A_AT, A_ROW, 4);
      case 5 -> Memory.indexed(A_AT, FIVE_ROWS, 1);
      case 6 -> Memory.indexed(A_AT, THREE_ROWS, 2);
      default -> Memory.indexed(A_AT, SEVEN_ROWS, 1);
    };
  }

  private static Memory argument(int number) {
    return Memory.at(RSP, (SAVED.length + 1 + number) * Long.BYTES);
  }
}
