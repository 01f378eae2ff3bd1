/**
 * The simulated GPU against what PTX says its instructions do, against threads computed one by one,
 * and against bugs that it must find.
 *
 * <p>{@code Device} is one simulated GPU for a test. {@code InstructionBench} runs one instruction on
 * many values; the {@code ...InstructionTest}s compare it with Java. {@code NvccKernelTest} needs
 * nvcc and is skipped without it; all other tests have their PTX as text.
 */
package dev.heddle.simulated.simt;
