package dev.heddle.runtime.cpu;

import dev.heddle.runtime.machine.Assembler;
import dev.heddle.runtime.machine.Assembler.Label;
import dev.heddle.runtime.machine.Assembler.Memory;
import dev.heddle.runtime.machine.ExecutableMemory;
import dev.heddle.runtime.machine.Processor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.util.Optional;

/**
 * Transposes squares of 16 by 16 words of 4 bytes by machine code: 16 rows are loaded, exchanged
 * between registers in four rounds of 16 instructions, and stored as 16 columns. {@link Packing}
 * does the same in Java; there the rounds go through memory, since C2 does not keep 32 vectors in
 * registers.
 */
final class WordTranspose {
  private static final int SIDE = TileCode.LANES;
  private static final int VECTOR_BYTES = 64;

  // Arguments as Linux passes them.
  private static final int FROM = Assembler.RDI;
  private static final int ROW_STRIDE = Assembler.RSI;
  private static final int SQUARES = Assembler.RDX;
  private static final int TO = Assembler.RCX;
  private static final int STEP = Assembler.R8;
  private static final int ROW_AT = Assembler.RAX;

  // Which parts of 128 bits vshuff32x4 takes: two of the first operand, two of the second.
  private static final int LOWER_HALVES = 0x44;
  private static final int UPPER_HALVES = 0xEE;
  private static final int EVEN_PARTS = 0x88;
  private static final int ODD_PARTS = 0xDD;

  private static final int ARGUMENTS = 5;
  private static final MethodHandle CALL = ExecutableMemory.caller(ARGUMENTS);
  private static final MemorySegment FUNCTION = make();

  private WordTranspose() {}

  /**
   * 16 memory rows become a vector of words a step.
   *
   * @param from the first row's first word
   * @param rowStride bytes from a row to the next
   * @param words words of a row, a multiple of 16, not 0
   * @param to where the vector of the first words goes
   * @param step bytes from a vector to the next
   * @throws IllegalStateException where {@link TileKernels} cannot run either
   */
  static void run(long from, long rowStride, long words, long to, long step) {
    try {
      CALL.invokeExact(FUNCTION, from, rowStride, words / SIDE, to, step);
    } catch (Throwable thrown) {
      throw new IllegalStateException("WordTranspose: calling machine code failed", thrown);
    }
  }

  private static MemorySegment make() {
    Optional<MemorySegment> code =
        Processor.here().avx512() ? ExecutableMemory.of(code()) : Optional.empty();
    return code.orElseThrow(
        () -> new IllegalStateException("WordTranspose: no AVX-512 on this machine"));
  }

  private static byte[] code() {
    Assembler code = new Assembler();
    Label square = code.here();
    code.mov(ROW_AT, FROM);
    for (int row = 0; row < SIDE; row++) {
      code.vmovups(row, Memory.at(ROW_AT, 0));
      code.add(ROW_AT, ROW_STRIDE);
    }
    // Words of two rows side by side: those of places 0 and 1 of every four, then 2 and 3.
    for (int row = 0; row < SIDE; row += 2) {
      code.vunpcklps(SIDE + row, row, row + 1);
      code.vunpckhps(SIDE + row + 1, row, row + 1);
    }
    // Words of four rows side by side: register 4g + j has places 4p + j of rows 4g to 4g + 3.
    for (int row = 0; row < SIDE; row += 4) {
      for (int place = 0; place < 2; place++) {
        code.vunpcklpd(row + 2 * place, SIDE + row + place, SIDE + row + 2 + place);
        code.vunpckhpd(row + 2 * place + 1, SIDE + row + place, SIDE + row + 2 + place);
      }
    }
    // Now parts of 128 bits: registers j, 4 + j, 8 + j and 12 + j are transposed among themselves.
    for (int j = 0; j < 4; j++) {
      code.vshuff32x4(SIDE + j, j, 4 + j, LOWER_HALVES);
      code.vshuff32x4(SIDE + 4 + j, j, 4 + j, UPPER_HALVES);
      code.vshuff32x4(SIDE + 8 + j, 8 + j, 12 + j, LOWER_HALVES);
      code.vshuff32x4(SIDE + 12 + j, 8 + j, 12 + j, UPPER_HALVES);
    }
    for (int place = 0; place < SIDE; place++) {
      int j = place % 4;
      int half = place / 8 * 4;
      int parts = place / 4 % 2 == 0 ? EVEN_PARTS : ODD_PARTS;
      code.vshuff32x4(j, SIDE + half + j, SIDE + 8 + half + j, parts);
      code.vmovups(Memory.at(TO, 0), j);
      code.add(TO, STEP);
    }
    code.addConstant(FROM, VECTOR_BYTES);
    code.dec(SQUARES);
    code.jnz(square);
    code.vzeroupper();
    code.ret();
    return code.toBytes();
  }
}
