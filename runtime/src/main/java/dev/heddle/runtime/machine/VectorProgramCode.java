package dev.heddle.runtime.machine;

import static dev.heddle.runtime.machine.Assembler.R8;
import static dev.heddle.runtime.machine.Assembler.R9;
import static dev.heddle.runtime.machine.Assembler.RAX;
import static dev.heddle.runtime.machine.Assembler.RCX;
import static dev.heddle.runtime.machine.Assembler.RDI;
import static dev.heddle.runtime.machine.Assembler.RDX;
import static dev.heddle.runtime.machine.Assembler.RSI;
import static dev.heddle.runtime.machine.Assembler.RSP;

import dev.heddle.runtime.machine.Assembler.Label;
import dev.heddle.runtime.machine.Assembler.Memory;

/**
 * Writes the function of a {@link VectorProgram}: a loop over whole vectors, or the same for some
 * lanes of one. Its arguments are those of {@link VectorLoop}'s call.
 */
final class VectorProgramCode extends VectorBody {
  private static final int CODE_UNIT = 64;

  /** Vectors side by side at most. */
  private static final int COPIES = 2;

  private static final int[] POINTERS = {RDI, RSI, RDX, RCX, R8};
  private static final int COUNT = R9;
  private static final int CONSTANTS_ARGUMENT = 8;
  private static final int MASK_ARGUMENT = 16;
  private static final int CONSTANTS = RAX;

  private VectorProgramCode(Assembler code, VectorProgram program, boolean masked, int copies) {
    super(code, program, copies, CONSTANTS);
    this.masked = masked;
  }

  /**
   * Appends the function.
   *
   * @param masked whether it is for the lanes that its mask has, once; else a loop
   * @return vectors that a turn of the loop takes
   * @throws IllegalStateException if there are not enough registers
   */
  static int append(Assembler code, VectorProgram program, boolean masked) {
    int constants = (int) program.operations().stream().filter(VectorBody::isConstant).count();
    // First what is tried gives no code: only whether the registers suffice.
    for (int copies = masked ? 1 : COPIES; copies > 0; copies--) {
      for (int resident = Math.min(constants, REGISTERS); resident >= 0; resident--) {
        try {
          new VectorProgramCode(new Assembler(), program, masked, copies).function(resident);
          new VectorProgramCode(code, program, masked, copies).function(resident);
          return copies;
        } catch (OutOfRegisters e) {
          // Fewer constants, then fewer copies.
        }
      }
    }
    throw new IllegalStateException(
        "VectorProgram: it needs more than " + REGISTERS + " registers");
  }

  private void function(int resident) throws OutOfRegisters {
    code.mov(CONSTANTS, Memory.at(RSP, CONSTANTS_ARGUMENT));
    if (masked) {
      // The counter is not needed.
      code.mov(COUNT, Memory.at(RSP, MASK_ARGUMENT));
      code.kmovw(LANES_MASK, COUNT);
    }
    loadConstants(0, resident);
    code.align(CODE_UNIT);
    Label turn = code.here();
    appendOperations();
    if (!masked) {
      for (int array = 0; array < program.arrayCount(); array++) {
        code.addConstant(POINTERS[array], copies * vectorBytes(array));
      }
      code.dec(COUNT);
      code.jnz(turn);
    }
    code.vzeroupper();
    code.ret();
  }

  @Override
  Memory memory(int array, int copy) {
    return Memory.at(POINTERS[array], paired ? 0 : copy * vectorBytes(array));
  }

  @Override
  void store(Memory to, int register) {
    if (masked) {
      code.vmovups(to, register, LANES_MASK);
    } else {
      code.vmovups(to, register);
    }
  }

  @Override
  void storeHalf(Memory to, int register) {
    code.vmovdqu16Half(to, register, masked ? LANES_MASK : 0);
  }

  @Override
  int accumulator(int number) {
    throw new IllegalStateException("VectorProgram: running sum " + number + " needs rows");
  }
}
