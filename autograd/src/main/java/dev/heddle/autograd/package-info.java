/**
 * Reverse-mode differentiation.
 *
 * <p>A {@link dev.heddle.autograd.Tensor} is an array that remembers the {@link
 * dev.heddle.autograd.Node} that made it; {@code loss.backward()} walks the nodes back and
 * accumulates gradients in the leaves. What a node saved is kept alive by the graph and released
 * the moment its backward has run, so peak memory is that of a reference-counted framework. A graph
 * lives in the {@link dev.heddle.runtime.memory.MemoryScope} that was open when it was recorded.
 *
 * <p>{@link dev.heddle.autograd.GradientMode} turns recording off and on, {@link
 * dev.heddle.autograd.Recompute} trades time for memory, {@link dev.heddle.autograd.GradientHook}
 * tells when a gradient is complete, {@link dev.heddle.autograd.DeferredGradients} puts the
 * gradients of weights off. Operators themselves are in {@code dev.heddle.ops}.
 */
package dev.heddle.autograd;
