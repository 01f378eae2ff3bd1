package dev.heddle.simulated.ptx;

import java.util.List;

/**
 * A kernel as it is executed. Two kernels are the same only if they are one object.
 *
 * <p>Registers are numbered by {@link PtxRegister#index}; control that reaches the end of {@link
 * #instructions} leaves the kernel.
 */
public final class PtxKernel {
  private final PtxModule module;
  private final String name;
  private final List<PtxParameter> parameters;
  private final int parameterBytes;
  private final int staticSharedBytes;
  private final int localBytes;
  private final int maxThreads;
  private final List<Integer> requiredBlock;
  private final List<PtxRegister> registers;
  private final List<PtxInstruction> instructions;

  PtxKernel(
      PtxModule module,
      String name,
      List<PtxParameter> parameters,
      PtxLayout layout,
      int maxThreads,
      List<Integer> requiredBlock,
      List<PtxRegister> registers,
      List<PtxInstruction> instructions) {
    this.module = module;
    this.name = name;
    this.parameters = List.copyOf(parameters);
    this.parameterBytes =
        parameters.stream().mapToInt(each -> each.offset() + each.byteSize()).max().orElse(0);
    this.staticSharedBytes = layout.sharedBytes();
    this.localBytes = layout.localBytes();
    this.maxThreads = maxThreads;
    this.requiredBlock = List.copyOf(requiredBlock);
    this.registers = List.copyOf(registers);
    this.instructions = List.copyOf(instructions);
  }

  /** The module that it is part of. */
  public PtxModule module() {
    return module;
  }

  /** Its name in the text. */
  public String name() {
    return name;
  }

  /** Its parameters in order. */
  public List<PtxParameter> parameters() {
    return parameters;
  }

  /** How many parameter bytes a launch hands over. */
  public int parameterBytes() {
    return parameterBytes;
  }

  /** Shared memory in bytes a block needs beside what the launch asks for; that follows it. */
  public int staticSharedBytes() {
    return staticSharedBytes;
  }

  /** Local memory in bytes that a thread needs. */
  public int localBytes() {
    return localBytes;
  }

  /** The most threads a block may have ({@code .maxntid}), or 0 if nothing is said. */
  public int maxThreads() {
    return maxThreads;
  }

  /** The x, y, z sizes that a block must have ({@code .reqntid}), or nothing. */
  public List<Integer> requiredBlock() {
    return requiredBlock;
  }

  /** All registers, by index. */
  public List<PtxRegister> registers() {
    return registers;
  }

  /** All instructions. */
  public List<PtxInstruction> instructions() {
    return instructions;
  }

  @Override
  public String toString() {
    return "kernel " + name + " of " + module.name();
  }
}
