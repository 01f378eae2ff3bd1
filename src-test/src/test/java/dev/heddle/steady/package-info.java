/**
 * A training loop of fixed size settles: after its first steps it asks the system for no more
 * memory, and it leaves the Java heap almost alone.
 *
 * <p>{@link dev.heddle.steady.SteadyLoop} is a program of its own, a small GPT trained in F32 by
 * the best kernels found, that counts bytes. {@link dev.heddle.steady.SteadyLoopTest} runs it in a
 * JVM of its own, without the leak detector (which allocates to remember where), and reads the
 * counts.
 *
 * <p>{@link dev.heddle.steady.KernelLoop} does the same for each vector kernel alone. What the
 * just-in-time compiler makes of a loop over vectors depends on what is around it and on the
 * machine's vectors, and a loop that it inlines half-way makes an object of every vector: {@link
 * dev.heddle.steady.KernelLoopTest} names the kernels where that happens.
 */
package dev.heddle.steady;
