package dev.heddle.simulated.ptx;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One instruction.
 *
 * @param line of the module's text, counted from 1
 * @param text that line
 * @param guard the predicate under which it is executed, or null
 * @param guardNegated whether it is executed where the guard is false
 * @param opcode up to the first dot
 * @param modifiers what follows, between dots
 * @param operands results first
 */
public record PtxInstruction(
    int line,
    String text,
    @Nullable PtxRegister guard,
    boolean guardNegated,
    String opcode,
    List<String> modifiers,
    List<PtxOperand> operands) {

  /** Opcode and modifiers as written. */
  public String mnemonic() {
    return modifiers.isEmpty() ? opcode : opcode + "." + String.join(".", modifiers);
  }
}
