package dev.heddle.runtime.cpu;

import static dev.heddle.runtime.machine.Assembler.R10;
import static dev.heddle.runtime.machine.Assembler.R11;
import static dev.heddle.runtime.machine.Assembler.R12;
import static dev.heddle.runtime.machine.Assembler.R13;
import static dev.heddle.runtime.machine.Assembler.R8;
import static dev.heddle.runtime.machine.Assembler.R9;
import static dev.heddle.runtime.machine.Assembler.RAX;
import static dev.heddle.runtime.machine.Assembler.RBP;
import static dev.heddle.runtime.machine.Assembler.RBX;
import static dev.heddle.runtime.machine.Assembler.RCX;
import static dev.heddle.runtime.machine.Assembler.RDI;
import static dev.heddle.runtime.machine.Assembler.RDX;
import static dev.heddle.runtime.machine.Assembler.RSI;

import dev.heddle.runtime.machine.Assembler;
import dev.heddle.runtime.machine.Assembler.Label;
import dev.heddle.runtime.machine.Assembler.Memory;
import dev.heddle.runtime.machine.ExecutableMemory;
import dev.heddle.runtime.machine.Processor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * Copies memory rows into panels by machine code: a row of F32 is dealt out to up to 8 panels, or
 * two rows of bf16 in pairs. It fetches rows ahead: a run of a row is too short for the processor
 * to guess that its continuation, a row further, comes next, and Java cannot say so. Since both
 * rows of a pair are in registers, it can add up columns besides.
 */
final class PanelCode {
  /** Panels that are written side by side at most. */
  static final int PANELS = 8;

  /** Steps along k that are fetched ahead. */
  private static final int DOUBLINGS_AHEAD = 3;

  private static final int ARGUMENTS = 6;
  private static final int LINE = 64;
  private static final int CODE_UNIT = 64;
  private static final int WIDTHS = TileCode.VECTORS;

  // Arguments as Linux passes them.
  private static final int FROM = RDI;
  private static final int ROW_STRIDE = RSI;
  private static final int WORDS = RDX;
  private static final int TO = RCX;
  private static final int PANEL = R8;
  private static final int SUMS = R9;

  // The function's own.
  private static final int[] SAVED = {RBX, RBP, R12, R13};
  private static final int STEP = R13;
  private static final int THREE_PANELS = R10;
  private static final int FIVE_PANELS = R11;
  private static final int SEVEN_PANELS = RBX;
  private static final int SECOND = RAX;
  private static final int AHEAD = RBP;
  private static final int SECOND_AHEAD = R12;

  // Sums of the values of even and odd rows, a register a panel.
  private static final int EVEN_SUMS = 16;
  private static final int ODD_SUMS = EVEN_SUMS + PANELS;

  private static final MethodHandle CALL = ExecutableMemory.caller(ARGUMENTS);

  private static final MemorySegment[] FUNCTIONS = make();

  private PanelCode() {}

  /**
   * Fills the rows of some panels.
   *
   * @param pairs whether the matrix is bf16, whose rows are taken by two; else F32
   * @param from the first value of the first row
   * @param rowStride bytes from a memory row to the next
   * @param panels 1 to {@link #PANELS}
   * @param vectors vectors of a panel's row: 1 to {@link TileCode#VECTORS}
   * @param words rows of a panel, not 0
   * @param to the first panel's first row
   * @param panelBytes from a panel to the next
   * @param sums address of one F32 value a column, to which the column's values are added; 0 for
   *     none; only for pairs in panels of one vector
   * @throws IllegalStateException where {@link TileKernels} cannot run either
   */
  static void run(
      boolean pairs,
      long from,
      long rowStride,
      int panels,
      int vectors,
      long words,
      long to,
      long panelBytes,
      long sums) {
    int function = sums == 0 ? index(pairs, vectors, panels) : adding(panels);
    try {
      CALL.invokeExact(FUNCTIONS[function], from, rowStride, words, to, panelBytes, sums);
    } catch (Throwable thrown) {
      throw new IllegalStateException("PanelCode: calling machine code failed", thrown);
    }
  }

  private static int index(boolean pairs, int vectors, int panels) {
    return ((pairs ? WIDTHS : 0) + vectors - 1) * PANELS + panels - 1;
  }

  /** The function that adds up columns of pairs, in panels of one vector. */
  private static int adding(int panels) {
    return 2 * WIDTHS * PANELS + panels - 1;
  }

  private static MemorySegment[] make() {
    Assembler code = new Assembler();
    int[] starts = new int[(2 * WIDTHS + 1) * PANELS + 1];
    for (int kind = 0; kind < 2; kind++) {
      for (int vectors = 1; vectors <= WIDTHS; vectors++) {
        for (int panels = 1; panels <= PANELS; panels++) {
          code.align(CODE_UNIT);
          starts[index(kind == 1, vectors, panels)] = code.position();
          append(code, kind == 1, vectors, panels, false);
        }
      }
    }
    for (int panels = 1; panels <= PANELS; panels++) {
      code.align(CODE_UNIT);
      starts[adding(panels)] = code.position();
      append(code, true, 1, panels, true);
    }
    starts[starts.length - 1] = code.position();
    if (!Processor.here().avx512()) {
      throw new IllegalStateException("PanelCode: no AVX-512 on this machine");
    }
    return ExecutableMemory.functions(code, starts)
        .orElseThrow(() -> new IllegalStateException("PanelCode: no memory for code"));
  }

  private static void append(Assembler code, boolean pairs, int vectors, int panels, boolean adds) {
    for (int register : SAVED) {
      code.push(register);
    }
    code.lea(THREE_PANELS, Memory.indexed(PANEL, PANEL, 2));
    code.lea(FIVE_PANELS, Memory.indexed(PANEL, PANEL, 4));
    code.lea(SEVEN_PANELS, Memory.indexed(THREE_PANELS, PANEL, 4));
    code.mov(STEP, ROW_STRIDE);
    if (pairs) {
      code.add(STEP, STEP);
      code.lea(SECOND, Memory.indexed(FROM, ROW_STRIDE, 1));
    }
    code.mov(AHEAD, STEP);
    for (int i = 0; i < DOUBLINGS_AHEAD; i++) {
      code.add(AHEAD, AHEAD);
    }
    if (pairs) {
      code.lea(SECOND_AHEAD, Memory.indexed(SECOND, AHEAD, 1));
    }
    code.add(AHEAD, FROM);
    for (int panel = 0; adds && panel < panels; panel++) {
      code.vpxord(EVEN_SUMS + panel, EVEN_SUMS + panel, EVEN_SUMS + panel);
      code.vpxord(ODD_SUMS + panel, ODD_SUMS + panel, ODD_SUMS + panel);
    }
    code.align(CODE_UNIT);
    Label word = code.here();
    int bytes = pairs ? LINE / 2 : LINE;
    for (int panel = 0; panel < panels; panel++) {
      for (int v = 0; v < vectors; v++) {
        int at = (panel * vectors + v) * bytes;
        if (at % LINE == 0) {
          code.prefetcht0(Memory.at(AHEAD, at));
        }
        if (pairs) {
          if (at % LINE == 0) {
            code.prefetcht0(Memory.at(SECOND_AHEAD, at));
          }
          code.vpmovzxwd(0, Memory.at(FROM, at));
          code.vpmovzxwd(1, Memory.at(SECOND, at));
          code.vpslld(1, 1, Short.SIZE);
          if (adds) {
            // Shifted so, a bf16 value is the F32 value.
            code.vpslld(2, 0, Short.SIZE);
            code.vaddps(ODD_SUMS + panel, ODD_SUMS + panel, 1);
            code.vaddps(EVEN_SUMS + panel, EVEN_SUMS + panel, 2);
          }
          code.vpord(0, 0, 1);
        } else {
          code.vmovups(0, Memory.at(FROM, at));
        }
        code.vmovups(rowOf(panel, v * LINE), 0);
      }
    }
    code.add(FROM, STEP);
    code.add(AHEAD, STEP);
    if (pairs) {
      code.add(SECOND, STEP);
      code.add(SECOND_AHEAD, STEP);
    }
    code.addConstant(TO, vectors * LINE);
    code.dec(WORDS);
    code.jnz(word);
    for (int panel = 0; adds && panel < panels; panel++) {
      code.vaddps(0, EVEN_SUMS + panel, ODD_SUMS + panel);
      code.vmovups(1, Memory.at(SUMS, panel * LINE));
      code.vaddps(0, 0, 1);
      code.vmovups(Memory.at(SUMS, panel * LINE), 0);
    }
    for (int i = SAVED.length - 1; i >= 0; i--) {
      code.pop(SAVED[i]);
    }
    code.vzeroupper();
    code.ret();
  }

  private static Memory rowOf(int panel, int offset) {
    return switch (panel) {
      case 0 -> Memory.at(TO, offset);
      case 1 -> new Memory(TO, PANEL, 1, offset);
      case 2 -> new Memory(TO, PANEL, 2, offset);
      case 3 -> new Memory(TO, THREE_PANELS, 1, offset);
      case 4 -> new Memory(TO, PANEL, 4, offset);
      case 5 -> new Memory(TO, FIVE_PANELS, 1, offset);
      case 6 -> new Memory(TO, THREE_PANELS, 2, offset);
      default -> new Memory(TO, SEVEN_PANELS, 1, offset);
    };
  }
}
