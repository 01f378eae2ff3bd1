package dev.heddle.simulated.simt;

import dev.heddle.simulated.ptx.PtxKernel;

/**
 * A kernel ready to run.
 *
 * @param steps a step for each instruction, and an exit behind the last
 * @param rows where registers are
 * @param tracksRegisters whether there are registers that may be read before they are written
 * @param memorySlots how many instructions access global memory
 * @param sharedGranule bytes that divide every access to shared memory
 * @param globalGranule bytes that divide every access to global memory
 * @param hasAsyncCopies whether there is a {@code cp.async}
 */
record DecodedKernel(
    PtxKernel kernel,
    @SuppressWarnings("ArrayRecordComponent") Step[] steps,
    Rows rows,
    boolean tracksRegisters,
    int memorySlots,
    int sharedGranule,
    int globalGranule,
    boolean hasAsyncCopies) {}
