/**
 * PTX text read into kernels that can be executed.
 *
 * <p>{@link dev.heddle.simulated.ptx.PtxModule#parse} reads what nvcc writes: module variables,
 * device functions and kernels. A {@link dev.heddle.simulated.ptx.PtxKernel} is its parameters, how
 * much shared and local memory it wants, and one flat list of {@link
 * dev.heddle.simulated.ptx.PtxInstruction}s: device functions have been put in place of the calls
 * to them, registers are numbered, variables have offsets and labels are indices. What instructions
 * mean is not known here; what is no PTX that this package knows is a {@link
 * dev.heddle.simulated.ptx.PtxException} with line and text.
 */
@NullMarked
package dev.heddle.simulated.ptx;

import org.jspecify.annotations.NullMarked;
