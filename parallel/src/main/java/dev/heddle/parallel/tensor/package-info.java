/**
 * Tensor parallelism: {@link dev.heddle.parallel.tensor.TensorParallelLayers} gives each rank of a
 * group its part of the heads, hidden features and words of the layers in {@code dev.heddle.nn}.
 *
 * <p>Between layers every rank holds complete activations (Invariant over the group). A layer
 * enters its divided region by {@code invariantToReplicate} (nothing forward, all-reduce backward)
 * and leaves it by {@code partialToInvariant} (all-reduce forward, nothing backward). Sizes need
 * not divide.
 */
package dev.heddle.parallel.tensor;
