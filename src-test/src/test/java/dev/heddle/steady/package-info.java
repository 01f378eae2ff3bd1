/**
 * A training loop of fixed size settles: after its first steps it asks the system for no more
 * memory, and it leaves the Java heap almost alone.
 *
 * <p>{@link dev.heddle.steady.SteadyLoop} is a program of its own, a small GPT trained in F32 by
 * the best kernels found, that counts bytes. {@link dev.heddle.steady.SteadyLoopTest} runs it in a
 * JVM of its own, without the leak detector (which allocates to remember where), and reads the
 * counts.
 */
package dev.heddle.steady;
