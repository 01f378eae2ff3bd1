package dev.heddle.runtime.machine;

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
 * Writes what a {@link VectorProgram} does with one vector of each array, or with some side by
 * side, and finds registers for it; what is around that is for subclasses.
 */
abstract class VectorBody {
  static final int REGISTERS = 32;
  static final int VECTOR_BYTES = 64;

  /** Which lanes are there. */
  static final int LANES_MASK = 1;

  /** The first mask register of comparisons, one a copy. */
  private static final int COMPARED = 2;

  private static final int HALF_BITS = 16;

  /** The bits of {@code target | a & b}, for vpternlogd. */
  private static final int OR_AND = 0xF8;

  static final int NONE = -1;

  /** There are not enough registers. */
  static final class OutOfRegisters extends Exception {
    private static final long serialVersionUID = 1;
  }

  final Assembler code;
  final VectorProgram program;

  /** Whether what is written next is for those lanes only that {@link #LANES_MASK} has. */
  boolean masked;

  /** Vectors side by side in what is written next. */
  int copies;

  /**
   * Whether the first copy has the lower halves of words in memory and the second the upper ones: a
   * word is loaded and stored as it is, where 16 neighbours had to be spread and packed.
   */
  final boolean paired;

  private final int constantsAt;
  private final int[] lastUses;

  /** The register of each value and copy; of a constant that stays, copy 0's. */
  final int[][] registers;

  /** Of constants the operation that tells where they are. */
  private final @Nullable Operation[] constants;

  private final Deque<Integer> free = new ArrayDeque<>();

  /**
   * An empty body.
   *
   * @param copies vectors side by side at most
   * @param constantsAt the general register that has the address of the program's constants
   */
  VectorBody(Assembler code, VectorProgram program, int copies, int constantsAt) {
    this.code = code;
    this.program = program;
    this.copies = copies;
    this.constantsAt = constantsAt;
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
    for (int i = 0; i < REGISTERS; i++) {
      free.add(i);
    }
  }

  static boolean isConstant(Operation operation) {
    return operation.code() == Code.CONSTANT || operation.code() == Code.CONSTANTS;
  }

  /** Where a vector of an array lies. */
  abstract Memory memory(int array, int copy);

  /** A vector of words becomes one of an array. */
  abstract void store(Memory to, int register) throws OutOfRegisters;

  /** The lower half of a register becomes a vector of an array of bf16. */
  abstract void storeHalf(Memory to, int register) throws OutOfRegisters;

  /** The register of a running sum or maximum. */
  abstract int accumulator(int number);

  /** Writes all operations. */
  final void appendOperations() throws OutOfRegisters {
    List<Operation> operations = program.operations();
    for (int i = 0; i < operations.size(); i++) {
      if (!isConstant(operations.get(i))) {
        append(i, operations.get(i));
      }
    }
  }

  /**
   * The constants that are used most often stay in registers.
   *
   * @param first the first one that is looked at: before are scalars of rows
   */
  final void loadConstants(int first, int resident) throws OutOfRegisters {
    int[] uses = new int[program.valueCount()];
    List<Integer> numbers = new ArrayList<>();
    for (Operation operation : program.operations()) {
      for (int operand : operation.operands()) {
        uses[operand]++;
      }
      if (isConstant(operation) && operation.extra() >= first) {
        numbers.add(operation.result());
      }
    }
    numbers.sort((a, b) -> Integer.compare(uses[b], uses[a]));
    for (int number : numbers.subList(0, resident)) {
      registers[number][0] = take();
      loadConstant(registers[number][0], number);
    }
  }

  /** Loads the constant, or the constants of all lanes, that a value is. */
  final void loadConstant(int register, int number) {
    @Nullable Operation constant = constants[number];
    if (constant == null) {
      throw new IllegalStateException("VectorProgram: value " + number + " is no constant");
    }
    Memory from = Memory.at(constantsAt, Float.BYTES * constant.extra());
    if (constant.code() == Code.CONSTANTS) {
      code.vmovups(register, from);
    } else {
      code.vpbroadcastd(register, from);
    }
  }

  final int take() throws OutOfRegisters {
    if (free.isEmpty()) {
      throw new OutOfRegisters();
    }
    return free.removeFirst();
  }

  /** Gives back what {@link #take} gave. */
  final void giveBack(int register) {
    free.addFirst(register);
  }

  private void append(int index, Operation operation) throws OutOfRegisters {
    int[] operands = operation.operands();
    List<Integer> borrowed = new ArrayList<>();
    // Constants that have no register of their own get one for this operation.
    int[] shared = new int[operands.length];
    for (int i = 0; i < operands.length; i++) {
      shared[i] = NONE;
      if (constants[operands[i]] != null) {
        shared[i] = registers[operands[i]][0];
        if (shared[i] == NONE) {
          shared[i] = take();
          borrowed.add(shared[i]);
          loadConstant(shared[i], operands[i]);
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
      case MAXIMUM -> code.vmaxps(to, s[0], s[1], 0);
      case ADD_BITS -> code.vpaddd(to, s[0], s[1]);
      case AND_BITS -> code.vpandd(to, s[0], s[1]);
      case OR_BITS -> code.vpord(to, s[0], s[1]);
      case SHIFT_UP -> code.vpslld(to, s[0], extra);
      case SHIFT_DOWN -> code.vpsrld(to, s[0], extra);
      case SELECT -> {
        code.vcmpps(COMPARED + copy, s[0], s[1], extra);
        code.vblendmps(to, s[3], s[2], COMPARED + copy);
      }
      case STORE -> store(memory(extra, copy), s[0]);
      case STORE_UPPER_HALVES -> {
        // Not narrowed by the instruction that goes to memory, which is slow on AMD's processors.
        int halves = take();
        code.vpsrld(halves, s[0], HALF_BITS);
        code.vpmovdw(halves, halves);
        storeHalf(memory(extra, copy), halves);
        giveBack(halves);
      }
      case STORE_ROUNDED -> {
        int halves = take();
        code.vcvtneps2bf16(halves, s[0]);
        storeHalf(memory(extra, copy), halves);
        giveBack(halves);
      }
      case ADD_TO_SUM -> {
        int sum = accumulator(extra);
        code.vaddps(sum, sum, s[0], lanes());
      }
      case ADD_PRODUCT_TO_SUM -> code.vfmadd231ps(accumulator(extra), s[0], s[1], lanes());
      case RAISE_MAXIMUM -> {
        int maximum = accumulator(extra);
        code.vmaxps(maximum, s[0], maximum, lanes());
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
    giveBack(words);
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

  private int lanes() {
    return masked ? LANES_MASK : 0;
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

  final int vectorBytes(int array) {
    return program.type(array) == Type.F32 ? VECTOR_BYTES : VECTOR_BYTES / 2;
  }
}
