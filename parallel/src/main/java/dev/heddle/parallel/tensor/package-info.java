/**
 * Tensor parallelism: {@link dev.heddle.parallel.tensor.TensorParallelLayers} gives each rank of a
 * group its part of the heads, hidden features and words of the layers in {@code dev.heddle.nn}.
 * Sizes need not divide.
 *
 * <p>Between layers every rank holds complete activations (Invariant over the group). A layer
 * enters its divided region by {@code invariantToReplicate} (nothing forward, all-reduce backward)
 * and leaves it by {@code partialToInvariant} (all-reduce forward, nothing backward).
 *
 * <p>With sequence parallelism every rank holds a part of the positions between layers (Shard). A
 * layer is entered by {@code shardToReplicate} (all-gather, reduce-scatter backward) and left by
 * {@code partialToShard} (reduce-scatter, all-gather backward): the same bytes in all, but norms,
 * dropout and residuals are computed and kept once, not on every rank.
 */
package dev.heddle.parallel.tensor;
