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
import dev.heddle.runtime.machine.VectorProgram.Code;
import dev.heddle.runtime.machine.VectorProgram.Operation;
import dev.heddle.runtime.machine.VectorProgram.Type;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Writes the function of a {@link VectorProgram}: a loop over whole vectors, or the same for some
 * lanes of one. Its arguments are those of {@link VectorLoop}'s call.
 */
final class VectorProgramCode {
  private static final int REGISTERS = 32;
  private static final int VECTOR_BYTES = 64;
  private static final int CODE_UNIT = 64;

  /** Vectors side by side at most. */
  private static final int COPIES = 2;

  private static final int[] POINTERS = {RDI, RSI, RDX, RCX, R8};
  private static final int COUNT = R9;
  private static final int CONSTANTS_ARGUMENT = 8;
  private static final int MASK_ARGUMENT = 16;
  private static final int CONSTANTS = RAX;

  /** Which lanes are there. */
  private static final int LANES_MASK = 1;

  /** The first mask register of comparisons, one a copy. */
  private static final int COMPARED = 2;

  private static final int HALF_BITS = 16;

  /** The bits of {@code target | a & b}, for vpternlogd. */
  private static final int OR_AND = 0xF8;

  private static final int NONE = -1;

  /** There are not enough registers. */
  private static final class OutOfRegisters extends Exception {
    private static final long serialVersionUID = 1;
  }

  private final Assembler code;
  private final VectorProgram program;
  private final boolean masked;
  private final int copies;

  /**
   * Whether the first copy has the lower halves of words in memory and the second the upper ones: a
   * word is loaded and stored as it is, where 16 neighbours had to be spread and packed.
   */
  private final boolean paired;

  private final int[] lastUses;

  /** The register of each value and copy; of a constant that stays, copy 0's. */
  private final int[][] registers;

  /** Of constants the operation that tells where they are. */
  private final @Nullable Operation[] constants;

  private final Deque<Integer> free = new ArrayDeque<>();

  private VectorProgramCode(Assembler code, VectorProgram program, boolean masked, int copies) {
    this.code = code;
    this.program = program;
    this.masked = masked;
    this.copies = copies;
    paired = copies == 2 && program.halvesOnly();
    int count = program.valueCount();
    lastUses = new int[count];
    registers = new int[count][copies];
    constants = new Operation[count];
    for (int[] row : registers) {
      Arrays.fill(row, NONE);
    }
    List<Operation> operations = program.operations();
    for (int i = 0; i < operations.size(); i++) {
      Operation operation = operations.get(i);
      for (int operand : operation.operands()) {
        lastUses[operand] = i;
      }
      if (isConstant(operation)) {
        constants[operation.result()] = operation;
      }
    }
  }

  private static boolean isConstant(Operation operation) {
    return operation.code() == Code.CONSTANT || operation.code() == Code.CONSTANTS;
  }

  /**
   * Appends the function.
   *
   * @param masked whether it is for the lanes that its mask has, once; else a loop
   * @return vectors that a turn of the loop takes
   * @throws IllegalStateException if there are not enough registers
   */
  static int append(Assembler code, VectorProgram program, boolean masked) {
    int constants =
        (int) program.operations().stream().filter(VectorProgramCode::isConstant).count();
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
    for (int i = 0; i < REGISTERS; i++) {
      free.add(i);
    }
    code.mov(CONSTANTS, Memory.at(RSP, CONSTANTS_ARGUMENT));
    if (masked) {
      // The counter is not needed.
      code.mov(COUNT, Memory.at(RSP, MASK_ARGUMENT));
      code.kmovw(LANES_MASK, COUNT);
    }
    loadConstants(resident);
    code.align(CODE_UNIT);
    Label turn = code.here();
    List<Operation> operations = program.operations();
    for (int i = 0; i < operations.size(); i++) {
      if (!isConstant(operations.get(i))) {
        append(i, operations.get(i));
      }
    }
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

  /** The constants that are used most often stay in registers. */
  private void loadConstants(int resident) throws OutOfRegisters {
    int[] uses = new int[program.valueCount()];
    List<Integer> numbers = new ArrayList<>();
    for (Operation operation : program.operations()) {
      for (int operand : operation.operands()) {
        uses[operand]++;
      }
      if (isConstant(operation)) {
        numbers.add(operation.result());
      }
    }
    numbers.sort((a, b) -> Integer.compare(uses[b], uses[a]));
    for (int number : numbers.subList(0, resident)) {
      @Nullable Operation constant = constants[number];
      if (constant != null) {
        registers[number][0] = take();
        loadConstant(registers[number][0], constant);
      }
    }
  }

  private void loadConstant(int register, Operation constant) {
    Memory from = Memory.at(CONSTANTS, Float.BYTES * constant.extra());
    if (constant.code() == Code.CONSTANTS) {
      code.vmovups(register, from);
    } else {
      code.vpbroadcastd(register, from);
    }
  }

  private int take() throws OutOfRegisters {
    if (free.isEmpty()) {
      throw new OutOfRegisters();
    }
    return free.removeFirst();
  }

  private void append(int index, Operation operation) throws OutOfRegisters {
    int[] operands = operation.operands();
    List<Integer> borrowed = new ArrayList<>();
    // Constants that have no register of their own get one for this operation.
    int[] shared = new int[operands.length];
    for (int i = 0; i < operands.length; i++) {
      shared[i] = NONE;
      @Nullable Operation constant = constants[operands[i]];
      if (constant != null) {
        shared[i] = registers[operands[i]][0];
        if (shared[i] == NONE) {
          shared[i] = take();
          borrowed.add(shared[i]);
          loadConstant(shared[i], constant);
        }
      }
    }
    int[][] sources = new int[copies][operands.length];
    for (int copy = 0; copy < copies; copy++) {
      for (int i = 0; i < operands.length; i++) {
        sources[copy][i] = shared[i] == NONE ? registers[operands[i]][copy] : shared[i];
      }
    }
    if (paired && operation.code() == Code.STORE_UPPER_HALVES) {
      appendStorePaired(index, operation, sources);
    } else {
      for (int copy = 0; copy < copies; copy++) {
        append(index, operation, copy, sources[copy]);
      }
    }
    free.addAll(borrowed);
  }

  private void append(int index, Operation operation, int copy, int[] s) throws OutOfRegisters {
    if (operation.code() == Code.MULTIPLY_ADD) {
      appendMultiplyAdd(index, operation, copy, s);
      return;
    } else if (operation.code() == Code.LOOK_UP) {
      appendLookUp(index, operation, copy, s);
      return;
    }
    // A result may take the place of an operand that nobody needs any more.
    release(index, operation, copy);
    int to = NONE;
    if (operation.result() != NONE) {
      to = take();
      registers[operation.result()][copy] = to;
    }
    int extra = operation.extra();
    switch (operation.code()) {
      case LOAD -> appendLoad(to, extra, copy, s);
      case ADD -> code.vaddps(to, s[0], s[1]);
      case SUBTRACT -> code.vsubps(to, s[0], s[1]);
      case MULTIPLY -> code.vmulps(to, s[0], s[1]);
      case DIVIDE -> code.vdivps(to, s[0], s[1]);
      case SQUARE_ROOT -> code.vsqrtps(to, s[0]);
      case MAXIMUM -> code.vmaxps(to, s[0], s[1]);
      case ADD_BITS -> code.vpaddd(to, s[0], s[1]);
      case AND_BITS -> code.vpandd(to, s[0], s[1]);
      case OR_BITS -> code.vpord(to, s[0], s[1]);
      case SHIFT_UP -> code.vpslld(to, s[0], extra);
      case SHIFT_DOWN -> code.vpsrld(to, s[0], extra);
      case SELECT -> {
        code.vcmpps(COMPARED + copy, s[0], s[1], extra);
        code.vblendmps(to, s[3], s[2], COMPARED + copy);
      }
      case STORE -> {
        if (masked) {
          code.vmovups(memory(extra, copy), s[0], LANES_MASK);
        } else {
          code.vmovups(memory(extra, copy), s[0]);
        }
      }
      case STORE_UPPER_HALVES -> {
        int lower = take();
        code.vpsrld(lower, s[0], HALF_BITS);
        code.vpmovdw(memory(extra, copy), lower, masked ? LANES_MASK : 0);
        free.addFirst(lower);
      }
      case CONSTANT, CONSTANTS, LOOK_UP, MULTIPLY_ADD ->
          throw new IllegalStateException("VectorProgram: " + operation.code() + " comes earlier");
    }
  }

  private void appendLoad(int to, int array, int copy, int[] s) {
    Memory from = memory(array, copy);
    if (program.type(array) == Type.F32) {
      if (masked) {
        code.vmovups(to, from, LANES_MASK);
      } else {
        code.vmovups(to, from);
      }
    } else if (paired) {
      if (copy == 0) {
        code.vpslld(to, from, HALF_BITS);
      } else {
        code.vpandd(to, s[0], from);
      }
    } else {
      if (masked) {
        code.vpmovzxwd(to, from, LANES_MASK);
      } else {
        code.vpmovzxwd(to, from);
      }
      code.vpslld(to, to, HALF_BITS);
    }
  }

  private void appendStorePaired(int index, Operation operation, int[][] s) throws OutOfRegisters {
    release(index, operation, 0);
    int words = take();
    code.vpsrld(words, s[0][0], HALF_BITS);
    code.vpternlogd(words, s[1][0], s[1][1], OR_AND);
    code.vmovups(memory(operation.extra(), 0), words);
    release(index, operation, 1);
    free.addFirst(words);
  }

  /** The instruction overwrites the index. */
  private void appendLookUp(int index, Operation operation, int copy, int[] s)
      throws OutOfRegisters {
    int to = s[0];
    if (!ends(index, operation.operands()[0])) {
      to = take();
      code.vmovaps(to, s[0]);
    }
    code.vpermi2ps(to, s[1], s[2]);
    release(index, operation, copy);
    free.remove((Integer) to);
    registers[operation.result()][copy] = to;
  }

  /** The instruction overwrites an operand: one that ends here, if there is one, else a copy. */
  private void appendMultiplyAdd(int index, Operation operation, int copy, int[] s)
      throws OutOfRegisters {
    int[] operands = operation.operands();
    int to;
    if (ends(index, operands[2])) {
      to = s[2];
      code.vfmadd231ps(to, s[0], s[1]);
    } else if (ends(index, operands[0])) {
      to = s[0];
      code.vfmadd213ps(to, s[1], s[2]);
    } else if (ends(index, operands[1])) {
      to = s[1];
      code.vfmadd213ps(to, s[0], s[2]);
    } else {
      to = take();
      code.vmovaps(to, s[2]);
      code.vfmadd231ps(to, s[0], s[1]);
    }
    release(index, operation, copy);
    free.remove((Integer) to);
    registers[operation.result()][copy] = to;
  }

  /** Whether a value's register can be overwritten by an operation. */
  private boolean ends(int index, int operand) {
    return constants[operand] == null && lastUses[operand] == index;
  }

  private void release(int index, Operation operation, int copy) {
    for (int operand : operation.operands()) {
      int register = registers[operand][copy];
      if (ends(index, operand) && register != NONE) {
        free.addFirst(register);
        registers[operand][copy] = NONE;
      }
    }
  }

  private Memory memory(int array, int copy) {
    return Memory.at(POINTERS[array], paired ? 0 : copy * vectorBytes(array));
  }

  private int vectorBytes(int array) {
    return program.type(array) == Type.F32 ? VECTOR_BYTES : VECTOR_BYTES / 2;
  }
}
