package dev.heddle.runtime.machine;

import static dev.heddle.runtime.machine.Assembler.R10;
import static dev.heddle.runtime.machine.Assembler.R11;
import static dev.heddle.runtime.machine.Assembler.R12;
import static dev.heddle.runtime.machine.Assembler.R13;
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

import dev.heddle.runtime.machine.Assembler.Label;
import dev.heddle.runtime.machine.Assembler.Memory;
import dev.heddle.runtime.machine.VectorProgram.Code;
import dev.heddle.runtime.machine.VectorProgram.Operation;
import dev.heddle.runtime.machine.VectorProgram.Type;
import java.util.List;

/**
 * Writes the function of a {@link VectorProgram} of rows: a loop over rows, in it one over a row's
 * vectors. Rows are short, and their ends are what takes time: so all that a row needs is fetched
 * here, and the processor begins with the next one while it waits for a sum. Its one argument is
 * the address of what {@link RowLoop} lays down.
 */
final class RowProgramCode extends VectorBody {
  private static final int CALL = RDI;
  private static final int[] POINTERS = {RSI, RDX, RCX, R8, R9, R10, R11, RBX};
  private static final int ROWS = RBP;
  private static final int TURNS = R12;

  /** Where a row's length is. */
  private static final int LENGTH = R13;

  /** Bytes of bf16 values in front of a row's next vector: half of what they are in F32. */
  private static final int AT = R15;

  /** The constants within a row; beside that anything. */
  private static final int OTHER = RAX;

  /** Vectors side by side: each waits for most of what it does. */
  private static final int COPIES = 2;

  private static final int[] SAVED = {RBX, RBP, R12, R13, R15};

  /** Of a result the first lane. */
  private static final int FIRST_LANE = 4;

  // Words, or parts of four words, in the order 2 3 0 1, and in the order 1 0 3 2.
  private static final int SWAP_PAIRS = 0x4E;
  private static final int SWAP_NEIGHBOURS = 0xB1;

  private final int[] scalars;
  private final int[] accumulators;
  private final int[] beginnings;
  private final Code[] kinds;

  private RowProgramCode(Assembler code, VectorProgram program) throws OutOfRegisters {
    super(code, program, COPIES, OTHER);
    scalars = new int[program.scalarCount()];
    beginnings = program.beginnings();
    accumulators = new int[beginnings.length];
    kinds = new Code[beginnings.length];
    for (int i = 0; i < accumulators.length; i++) {
      accumulators[i] = take();
    }
    for (Operation operation : program.operations()) {
      if (operation.code() == Code.CONSTANT && operation.extra() < scalars.length) {
        int register = take();
        registers[operation.result()][0] = register;
        scalars[operation.extra()] = register;
      } else if (isAccumulation(operation)) {
        kinds[operation.extra()] = operation.code();
      }
    }
  }

  private static boolean isAccumulation(Operation operation) {
    return switch (operation.code()) {
      case ADD_TO_SUM, ADD_PRODUCT_TO_SUM, RAISE_MAXIMUM -> true;
      default -> false;
    };
  }

  /**
   * Appends the function.
   *
   * @throws IllegalStateException if there are not enough registers
   */
  static void append(Assembler code, VectorProgram program) {
    int constants = (int) program.operations().stream().filter(VectorBody::isConstant).count();
    constants -= program.scalarCount();
    // First what is tried gives no code: only whether the registers suffice.
    for (int resident = Math.min(constants, REGISTERS); resident >= 0; resident--) {
      try {
        new RowProgramCode(new Assembler(), program).function(resident);
        new RowProgramCode(code, program).function(resident);
        return;
      } catch (OutOfRegisters e) {
        // Fewer constants.
      }
    }
    throw new IllegalStateException(
        "VectorProgram: it needs more than " + REGISTERS + " registers");
  }

  private void function(int resident) throws OutOfRegisters {
    for (int register : SAVED) {
      code.push(register);
    }
    code.clear(OTHER);
    code.addConstant(OTHER, 1);
    code.kmovw(FIRST_LANE, OTHER);
    code.mov(OTHER, Memory.at(CALL, RowLoop.CONSTANTS));
    loadConstants(scalars.length, resident);
    for (int array = 0; array < program.arrayCount(); array++) {
      code.mov(POINTERS[array], Memory.at(CALL, RowLoop.ARRAYS + RowLoop.WORD * array));
    }
    code.mov(LENGTH, Memory.at(CALL, RowLoop.LENGTHS));
    code.mov(ROWS, Memory.at(CALL, RowLoop.ROWS));
    Label row = code.here();
    beginRow();
    appendVectors();
    endRow();
    code.dec(ROWS);
    code.jnz(row);
    for (int i = SAVED.length - 1; i >= 0; i--) {
      code.pop(SAVED[i]);
    }
    code.vzeroupper();
    code.ret();
  }

  private void beginRow() {
    for (int i = 0; i < scalars.length; i++) {
      code.mov(OTHER, Memory.at(CALL, RowLoop.SCALARS + RowLoop.WORD * i));
      code.vpbroadcastd(scalars[i], Memory.at(OTHER, 0));
      next(OTHER, RowLoop.SCALARS, RowLoop.SCALAR_STEPS, i);
    }
    code.mov(OTHER, Memory.at(CALL, RowLoop.CONSTANTS));
    for (int i = 0; i < accumulators.length; i++) {
      int beginning = registers[beginnings[i]][0];
      if (beginning == NONE) {
        loadConstant(accumulators[i], beginnings[i]);
      } else {
        code.vmovaps(accumulators[i], beginning);
      }
    }
    code.clear(AT);
  }

  /** What a row's pointer becomes for the next row. */
  private void next(int pointer, int pointers, int steps, int number) {
    code.add(pointer, Memory.at(CALL, steps + RowLoop.WORD * number));
    code.mov(Memory.at(CALL, pointers + RowLoop.WORD * number), pointer);
  }

  private void appendVectors() throws OutOfRegisters {
    Label pairsDone = code.newLabel();
    code.mov(TURNS, Memory.at(LENGTH, RowLoop.PAIRS));
    code.test(TURNS);
    code.jz(pairsDone);
    Label turn = code.here();
    appendOperations();
    code.addConstant(AT, COPIES * VECTOR_BYTES / 2);
    code.dec(TURNS);
    code.jnz(turn);
    code.bind(pairsDone);
    copies = 1;
    Label oneDone = code.newLabel();
    code.mov(TURNS, Memory.at(LENGTH, RowLoop.ONE));
    code.test(TURNS);
    code.jz(oneDone);
    appendOperations();
    code.addConstant(AT, VECTOR_BYTES / 2);
    code.bind(oneDone);
    Label restDone = code.newLabel();
    code.mov(TURNS, Memory.at(LENGTH, RowLoop.MASK));
    code.test(TURNS);
    code.jz(restDone);
    code.kmovw(LANES_MASK, TURNS);
    masked = true;
    appendOperations();
    masked = false;
    code.addConstant(AT, VECTOR_BYTES / 2);
    code.bind(restDone);
    copies = COPIES;
    Label emptyDone = code.newLabel();
    code.mov(TURNS, Memory.at(LENGTH, RowLoop.EMPTY));
    code.test(TURNS);
    code.jz(emptyDone);
    appendEmpty();
    code.bind(emptyDone);
  }

  /** Zeros behind a row. */
  private void appendEmpty() throws OutOfRegisters {
    int zero = take();
    code.vpxord(zero, zero, zero);
    Label turn = code.here();
    List<Operation> operations = program.operations();
    for (Operation operation : operations) {
      if (operation.code() == Code.STORE) {
        code.vmovups(memory(operation.extra(), 0), zero);
      } else if (operation.code() == Code.STORE_UPPER_HALVES
          || operation.code() == Code.STORE_ROUNDED) {
        code.vmovdqu16Half(memory(operation.extra(), 0), zero, 0);
      }
    }
    code.addConstant(AT, VECTOR_BYTES / 2);
    code.dec(TURNS);
    code.jnz(turn);
    giveBack(zero);
  }

  private void endRow() throws OutOfRegisters {
    int other = accumulators.length == 0 ? NONE : take();
    for (int i = 0; i < accumulators.length; i++) {
      int lanes = accumulators[i];
      code.vshuff32x4(other, lanes, lanes, SWAP_PAIRS);
      combine(i, other);
      code.vshuff32x4(other, lanes, lanes, SWAP_NEIGHBOURS);
      combine(i, other);
      code.vpermilps(other, lanes, SWAP_PAIRS);
      combine(i, other);
      code.vpermilps(other, lanes, SWAP_NEIGHBOURS);
      combine(i, other);
      code.mov(OTHER, Memory.at(CALL, RowLoop.RESULTS + RowLoop.WORD * i));
      code.vmovups(Memory.at(OTHER, 0), lanes, FIRST_LANE);
      next(OTHER, RowLoop.RESULTS, RowLoop.RESULT_STEPS, i);
    }
    if (other != NONE) {
      giveBack(other);
    }
    code.add(LENGTH, Memory.at(CALL, RowLoop.LENGTH_STEP));
    for (int array = 0; array < program.arrayCount(); array++) {
      code.add(POINTERS[array], Memory.at(CALL, RowLoop.ARRAY_STEPS + RowLoop.WORD * array));
    }
  }

  private void combine(int number, int other) {
    int lanes = accumulators[number];
    if (kinds[number] == Code.RAISE_MAXIMUM) {
      code.vmaxps(lanes, other, lanes, 0);
    } else {
      code.vaddps(lanes, lanes, other);
    }
  }

  @Override
  Memory memory(int array, int copy) {
    int scale = program.type(array) == Type.F32 ? 2 : 1;
    return new Memory(POINTERS[array], AT, scale, copy * vectorBytes(array));
  }

  /** Rows have room for whole vectors: what is behind their end becomes zero. */
  @Override
  void store(Memory to, int register) throws OutOfRegisters {
    if (masked) {
      int present = take();
      code.vmovapsZeroing(present, register, LANES_MASK);
      code.vmovups(to, present);
      giveBack(present);
    } else {
      code.vmovups(to, register);
    }
  }

  @Override
  void storeHalf(Memory to, int register) throws OutOfRegisters {
    if (masked) {
      int present = take();
      code.vmovdqu16HalfZeroing(present, register, LANES_MASK);
      code.vmovdqu16Half(to, present, 0);
      giveBack(present);
    } else {
      code.vmovdqu16Half(to, register, 0);
    }
  }

  @Override
  int accumulator(int number) {
    return accumulators[number];
  }
}
