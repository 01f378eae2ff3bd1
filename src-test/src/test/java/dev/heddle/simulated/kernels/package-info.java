/**
 * Heddle's CUDA kernels on simulated GPUs: the conformance suite of the CPU backends, and what only
 * they have. The PTX that is shipped is what the interpreter runs.
 */
package dev.heddle.simulated.kernels;
