package dev.heddle.simulated.ptx;

import java.util.List;
import org.jspecify.annotations.Nullable;

/** What an instruction works on. */
public sealed interface PtxOperand {

  /** A register; {@code negated} for {@code !%p}. */
  record Register(PtxRegister register, boolean negated) implements PtxOperand {}

  /**
   * A number in the text.
   *
   * @param bits of the integer, or of the floating-point value in its own width
   */
  record Immediate(long bits, Form form) implements PtxOperand {
    /** How it was written. */
    public enum Form {
      INTEGER,
      /** {@code 0f3F800000}. */
      SINGLE,
      /** {@code 0d3FF0000000000000}, or a decimal fraction. */
      DOUBLE
    }
  }

  /** A special register, like {@code %tid.x}. */
  record Special(String name) implements PtxOperand {}

  /** {@code {a, b}}. */
  record Vector(List<PtxOperand> elements) implements PtxOperand {}

  /** {@code [base + offset]}, where the base is a register, a variable or nothing. */
  record Address(@Nullable PtxRegister register, @Nullable PtxVariable variable, long offset)
      implements PtxOperand {}

  /** The address of a variable, plus so many bytes. */
  record Symbol(PtxVariable variable, long offset) implements PtxOperand {}

  /** A place in the kernel: the index of an instruction, one past the last included. */
  record Label(String name, int target) implements PtxOperand {}

  /** Several labels, of {@code brx.idx}. */
  record Targets(List<PtxOperand> labels) implements PtxOperand {}

  /** {@code _}: a result that nobody wants. */
  record Sink() implements PtxOperand {}

  /** {@code d|p}: two results. */
  record Pair(PtxOperand first, PtxOperand second) implements PtxOperand {}

  /** A call: where results go, which function, what it gets. Gone once functions are in place. */
  record Call(List<PtxVariable> results, String function, List<PtxVariable> arguments)
      implements PtxOperand {}
}
