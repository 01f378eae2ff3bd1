/**
 * Context parallelism: ranks that divide the positions of sequences compute attention together.
 *
 * <p>Start with {@link dev.heddle.parallel.context.ContextParallelLayers}, the layers of a rank
 * that has a part of every sequence: all of a block but attention works on positions one by one and
 * needs nothing from others. Parts are zigzag, so that every rank has early positions and late
 * ones, and causal work is even.
 *
 * <p>A {@link dev.heddle.parallel.context.ContextPlan} says as data which {@linkplain
 * dev.heddle.parallel.context.AttentionTile tiles} of queries and keys each rank computes, and
 * when; documents of packed sequences may be of any lengths and lie across ranks. The {@link
 * dev.heddle.parallel.context.ContextMethod}s differ in what travels and when:
 *
 * <ul>
 *   <li>ring: keys and values go from rank to rank while each computes with those it has; results
 *       are merged by log-sum-exp. Least memory, most overlap, n - 1 exchanges.
 *   <li>all-gather: all keys and values first; nothing is merged. Needs memory for the keys of the
 *       whole sequence, good where these are few (grouped queries).
 *   <li>all-to-all: positions are traded for heads and back. Least bytes, but at least as many
 *       heads of keys as ranks.
 * </ul>
 *
 * <p>The backward of a tile, given the result and log-sum-exp over all keys, is exactly its share
 * of the whole; shares are added up in a fixed order. Gradients of parameters are summands on every
 * rank, like those of data parallelism.
 */
package dev.heddle.parallel.context;
