/**
 * Kernels executed as a GPU executes them: 32 threads at a time, with everything checked.
 *
 * <p>{@link dev.heddle.simulated.simt.Simulator#launch} runs a kernel. A {@code Decoder}, with one
 * helper for each family of instructions, turns the kernel into {@code Step}s once; {@code Rows}
 * says where registers are. A {@code Block} lets its {@code Warp}s take turns, a {@code Warp} runs
 * those of its lanes that are at the same place. {@code SharedMemory}, {@code GlobalSpace} and
 * {@code ThreadMemory} hold the bytes and know who may touch them when. All loops over lanes are in
 * {@code Loops} and {@code PredicateLoops}, and {@code LoopCopies} makes them fast.
 *
 * <p>All that is simulated is on one thread and in a given order, so that a launch with the same
 * {@link dev.heddle.simulated.simt.Launch} does the same again, faults included.
 */
@NullMarked
package dev.heddle.simulated.simt;

import org.jspecify.annotations.NullMarked;
