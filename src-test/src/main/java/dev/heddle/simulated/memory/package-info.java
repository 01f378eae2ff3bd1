/**
 * The memory of simulated GPUs.
 *
 * <p>A {@link dev.heddle.simulated.memory.DeviceMemory} hands out addresses that mean nothing to
 * the host, as a real GPU does, and finds the bytes behind one only where a live allocation is.
 * Fresh bytes are poisoned, allocations never touch each other and freed addresses are not given
 * out again for as long as possible, so a read of too much, too early or too late is a {@link
 * dev.heddle.simulated.memory.SimulatedFault} that names the allocation, or a NaN.
 */
@NullMarked
package dev.heddle.simulated.memory;

import org.jspecify.annotations.NullMarked;
