/**
 * cuBLAS and cuBLASLt on simulated GPUs.
 *
 * <p>{@link dev.heddle.simulated.cublas.SimulatedCublas} is a symbol lookup whose functions have
 * the C signatures of the real libraries, so that production handles, structs and pointers are what
 * runs. Descriptors behave as the real ones do on a machine without a GPU (sizes of attributes are
 * checked, their values only when a product is asked for); products check every argument more
 * strictly than the real libraries promise to, are queued on the simulated stream and are computed
 * by plain loops over simulated memory, with bounds.
 *
 * <p>What a function refuses comes back as the status that the real library would return, and is
 * kept in words by {@link dev.heddle.simulated.cublas.SimulatedCublas#refusals()}. Functions that
 * Heddle does not call are not there: looking one up finds nothing.
 */
@NullMarked
package dev.heddle.simulated.cublas;

import org.jspecify.annotations.NullMarked;
