package dev.heddle.simulated.ptx;

import java.util.List;

/**
 * A kernel or device function as the text has it, before calls are replaced.
 *
 * @param results variables that a device function returns through
 * @param parameters in order
 * @param maxThreads see {@link PtxKernel#maxThreads}
 * @param requiredBlock see {@link PtxKernel#requiredBlock}
 */
record PtxFunction(
    String name,
    boolean isKernel,
    List<PtxVariable> results,
    List<PtxVariable> parameters,
    int maxThreads,
    List<Integer> requiredBlock,
    List<PtxRegister> registers,
    List<PtxInstruction> instructions) {}
