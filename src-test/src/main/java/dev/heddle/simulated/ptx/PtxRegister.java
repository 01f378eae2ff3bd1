package dev.heddle.simulated.ptx;

/**
 * A virtual register of a kernel.
 *
 * @param name as the text has it
 * @param type as declared; registers that differ only in kind of value are used alike
 * @param index counted from 0 over all registers of the kernel
 */
public record PtxRegister(String name, PtxType type, int index) {
  /** Whether it holds 64 bits. */
  public boolean isWide() {
    return type.bits() == 64;
  }

  /** Whether it is a predicate. */
  public boolean isPredicate() {
    return type == PtxType.PRED;
  }
}
