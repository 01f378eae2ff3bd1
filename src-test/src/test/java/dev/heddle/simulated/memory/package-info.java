/** The memory of simulated GPUs. */
package dev.heddle.simulated.memory;
