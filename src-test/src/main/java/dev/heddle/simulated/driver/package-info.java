/**
 * A simulated CUDA driver: a test double below the production code's own downcall handles.
 *
 * <p>{@link dev.heddle.simulated.driver.SimulatedGpus#install} puts it in the place of {@code
 * libcuda}: every driver function that production code calls becomes an upcall into Java, in {@code
 * DeviceCalls}, {@code MemoryCalls}, {@code StreamCalls}, {@code ModuleCalls} and {@code
 * GraphCalls}, whose methods have the very names of the functions. A function that is not among
 * them is refused by name. {@code Machine} holds the GPUs; {@code SimulatedContext}, {@code
 * SimulatedStream} and {@code SimulatedEvent} behave as CUDA documents theirs.
 *
 * <p>What it is for is to be less forgiving than a GPU. Streams are lazy: work runs only when
 * something waits for it, and then only as much as that needs, so that a forgotten event or
 * synchronisation gives wrong data every time and not once a month. Host memory is read when the
 * copy runs. Memory is poisoned when allocated, and touching it before its allocation or after its
 * free in stream order is a fault. Nothing that it computes says anything about a real GPU's speed.
 */
@NullMarked
package dev.heddle.simulated.driver;

import org.jspecify.annotations.NullMarked;
