package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxException;
import dev.heddle.simulated.ptx.PtxInstruction;
import dev.heddle.simulated.ptx.PtxKernel;
import dev.heddle.simulated.ptx.PtxOperand;
import dev.heddle.simulated.ptx.PtxRegister;
import dev.heddle.simulated.ptx.PtxVariable;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/** Turns a kernel's instructions into steps; what none of the families knows is refused. */
final class Decoder {
  private static final int WIDEST_ACCESS = 16;

  private final PtxKernel kernel;
  private final Rows rows;
  private int memorySlots;
  private int sharedGranule = WIDEST_ACCESS;
  private int globalGranule = WIDEST_ACCESS;
  private boolean hasAsyncCopies;

  Decoder(PtxKernel kernel) {
    this.kernel = kernel;
    this.rows = new Rows(kernel);
  }

  Rows rows() {
    return rows;
  }

  PtxKernel kernel() {
    return kernel;
  }

  int newMemorySlot() {
    return memorySlots++;
  }

  /** There is an access of so many bytes, to shared memory, to global memory or to either. */
  void noteAccess(int bytes, boolean shared, boolean global) {
    sharedGranule = shared ? Math.min(sharedGranule, bytes) : sharedGranule;
    globalGranule = global ? Math.min(globalGranule, bytes) : globalGranule;
  }

  void noteAsyncCopy() {
    hasAsyncCopies = true;
  }

  PtxException refuse(PtxInstruction instruction, String reason) {
    return new PtxException(
        kernel.toString(),
        instruction.line(),
        instruction.text(),
        "'" + instruction.mnemonic() + "' is not supported as it stands: " + reason);
  }

  /**
   * The address that a variable's name stands for: in its own space, or generic for the module's.
   */
  long address(PtxOperand.Symbol symbol) {
    return address(symbol.variable().space(), symbol.variable().offset()) + symbol.offset();
  }

  static long address(PtxVariable.Space space, long offset) {
    return switch (space) {
      case GLOBAL -> GlobalSpace.GLOBAL_VARIABLES + offset;
      case CONST -> GlobalSpace.CONST_VARIABLES + offset;
      case SHARED, LOCAL, PARAM -> offset;
    };
  }

  DecodedKernel decode() {
    List<PtxInstruction> instructions = kernel.instructions();
    Step[] steps = new Step[instructions.size() + 1];
    List<Set<PtxRegister>> reads = new ArrayList<>();
    List<Set<PtxRegister>> writes = new ArrayList<>();
    for (int i = 0; i < instructions.size(); i++) {
      PtxInstruction instruction = instructions.get(i);
      Operands operands = new Operands(this, instruction);
      Step step = step(operands);
      operands.done();
      step.source = instruction;
      step.index = i;
      PtxRegister guard = instruction.guard();
      if (guard != null) {
        step.guard = rows.place(guard);
        step.guardNegated = instruction.guardNegated();
      }
      steps[i] = step;
      reads.add(operands.reads());
      writes.add(operands.writes());
    }
    Step end = new Control.Exit();
    end.index = instructions.size();
    end.source =
        instructions.isEmpty()
            ? new PtxInstruction(0, "", null, false, "exit", List.of(), List.of())
            : instructions.getLast();
    steps[instructions.size()] = end;
    boolean tracked = new Initialisation(kernel, steps, reads, writes).mark();
    return new DecodedKernel(
        kernel, steps, rows, tracked, memorySlots, sharedGranule, globalGranule, hasAsyncCopies);
  }

  private static Step step(Operands operands) {
    return switch (operands.opcode()) {
      case "add", "sub", "mul", "mad", "min", "max", "abs", "neg", "div" ->
          FloatDecoder.isFloat(operands)
              ? FloatDecoder.step(operands)
              : IntegerDecoder.step(operands);
      case "rem", "sad", "addc", "subc", "madc", "mul24", "mad24" -> IntegerDecoder.step(operands);
      case "fma", "rcp", "sqrt", "rsqrt", "ex2", "lg2", "sin", "cos", "tanh", "copysign", "testp" ->
          FloatDecoder.step(operands);
      case "and",
          "or",
          "xor",
          "not",
          "cnot",
          "shl",
          "shr",
          "shf",
          "bfe",
          "bfi",
          "bfind",
          "brev",
          "popc",
          "clz",
          "prmt",
          "lop3" ->
          BitDecoder.step(operands);
      case "setp", "set", "selp", "slct" -> CompareDecoder.step(operands);
      case "cvt" -> ConvertDecoder.step(operands);
      case "mov", "cvta", "isspacep", "implicit-def" -> MoveDecoder.step(operands);
      case "ld", "ldu", "st", "atom", "red", "prefetch", "prefetchu", "cp" ->
          MemoryDecoder.step(operands);
      case "shfl", "vote", "match", "activemask", "redux", "elect" -> WarpDecoder.step(operands);
      case "bra", "brx", "ret", "exit", "trap", "bar", "barrier", "membar", "fence", "nanosleep" ->
          ControlDecoder.step(operands);
      case "ldmatrix", "mma" -> MatrixDecoder.step(operands);
      default -> throw operands.refuse("the simulated device does not know this instruction");
    };
  }
}
